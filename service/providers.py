"""Which ONNX Runtime execution provider a machine can really use."""

import ctypes

from service.settings import Provider


class ProviderUnavailableError(Exception):
    """The provider asked for by name is not there. Ends the start-up."""


def choose_provider(wanted: Provider) -> Provider:
    """Resolve ``auto`` and refuse what the machine does not have.

    ``onnxruntime.get_available_providers()`` lists CUDA wherever the GPU build is installed, and asking for
    it without a device prints errors. So the driver is asked first.

    Raises:
        ProviderUnavailableError: If CUDA was asked for by name and no device answers.
    """
    if wanted is Provider.CPU:
        return Provider.CPU
    if count_cuda_devices() > 0 and _is_built_in():
        return Provider.CUDA
    if wanted is Provider.CUDA:
        raise ProviderUnavailableError(
            "ENCODEONCE_PROVIDER is cuda, but no CUDA device answers. Set auto or cpu."
        )
    return Provider.CPU


def count_cuda_devices() -> int:
    """Devices that the CUDA driver reports; 0 without a driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int()
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def _is_built_in() -> bool:
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()
