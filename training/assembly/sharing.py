"""The section ``sharing`` of the YAML file → its untrained layer."""

from collections.abc import Callable, Mapping, Sequence

from training.config.schema import Config
from training.config.sharing import AsymmetricConfig, SharingConfig, SluiceConfig
from training.errors import ConfigError
from training.sharing import (
    AsymmetricSharing,
    CrossStitch,
    CustomisedSharing,
    MixtureOfExperts,
    Modulated,
    MultiGateMixtureOfExperts,
    MultiLevelMixtureOfExperts,
    OneHot,
    ProgressiveLayeredExtraction,
    SharedBottom,
    SharingLayer,
    Sluice,
    SoftSharing,
    TowerShape,
)

SHAPE_KEYS = {"name", "tasks", "hidden", "width", "dropout", "layers"}


def build_sharing(config: Config, *, hidden_size: int) -> SharingLayer | None:
    """The run's sharing layer; None for heads that read the encoder.

    Args:
        config: The run's.
        hidden_size: Of the encoder.

    Raises:
        ConfigError: If the layer does not fit the encoder.
    """
    sharing = config.sharing
    if sharing is None:
        return None
    # A run of some of the tasks, as when each is trained alone, has the layer's part for these.
    tasks = [name for name in sharing.tasks or config.tasks if name in config.tasks]
    if not tasks:
        return None
    try:
        return build_layer(sharing, tasks, hidden_size=hidden_size)
    except ValueError as error:
        raise ConfigError(config.name, [f"sharing: {error}"]) from error


def build_layer(config: SharingConfig, tasks: Sequence[str], *, hidden_size: int) -> SharingLayer:
    """A layer for some tasks.

    Args:
        config: Its section; tasks that it reads but that are not given are left out.
        tasks: That share.
        hidden_size: Of the encoder.

    Raises:
        ValueError: If the layer does not fit the encoder.
    """
    width = config.width or hidden_size
    widths = (width,) * config.layers if isinstance(config, SluiceConfig) else (*config.hidden, width)
    shape = TowerShape(in_features=hidden_size, widths=widths, dropout=config.dropout)
    builders: Mapping[str, Callable[..., SharingLayer]] = {
        "shared_bottom": SharedBottom,
        "one_hot": OneHot,
        "additive": lambda *given: Modulated(*given, scales=False, shifts=True),
        "multiplicative": lambda *given: Modulated(*given, scales=True, shifts=False),
        "film": lambda *given: Modulated(*given, scales=True, shifts=True),
        "moe": MixtureOfExperts,
        "mmoe": MultiGateMixtureOfExperts,
        "ml_mmoe": MultiLevelMixtureOfExperts,
        "cgc": ProgressiveLayeredExtraction,
        "ple": ProgressiveLayeredExtraction,
        "cross_stitch": CrossStitch,
        "sluice": Sluice,
        "asymmetric": AsymmetricSharing,
        "customised": CustomisedSharing,
        "soft": SoftSharing,
    }
    parameters = config.model_dump(exclude=SHAPE_KEYS)
    if isinstance(config, AsymmetricConfig):
        parameters["reads"] = {task: [name for name in read if name in tasks]
                               for task, read in config.reads.items() if task in tasks}  # fmt: skip
    return builders[config.name](tasks, shape, **parameters)
