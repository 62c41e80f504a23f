"""Binary tensors: what is packed is read back, and no broken framing is read at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import MalformedBody
from service.http.v2.framing import pack_strings, split_body, split_tensors, unpack_strings

ELEMENTS = st.lists(st.binary(max_size=300), max_size=20)


@given(ELEMENTS)
def test_packed_strings_are_read_back(elements: list[bytes]) -> None:
    assert unpack_strings(pack_strings(elements)) == elements


@given(st.binary(max_size=60))
def test_any_bytes_are_strings_or_refused(tensor: bytes) -> None:
    try:
        elements = unpack_strings(tensor)
    except MalformedBody:
        return
    assert pack_strings(elements) == tensor


@given(ELEMENTS, st.data())
def test_a_tensor_cut_short_is_refused_or_ends_between_elements(
    elements: list[bytes], data: st.DataObject
) -> None:
    tensor = pack_strings(elements)
    cut = tensor[: data.draw(st.integers(0, len(tensor)))]
    borders = {len(pack_strings(elements[:count])) for count in range(len(elements) + 1)}
    if len(cut) in borders:
        assert unpack_strings(cut) == elements[: len(unpack_strings(cut))]
    else:
        with pytest.raises(MalformedBody):
            unpack_strings(cut)


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_tensors_are_split_where_they_were_joined(tensors: list[bytes]) -> None:
    assert split_tensors(b"".join(tensors), [len(each) for each in tensors]) == tensors


@pytest.mark.parametrize("sizes", [[3], [2, 3], [], [5]])
def test_sizes_that_do_not_add_up_are_refused(sizes: list[int]) -> None:
    with pytest.raises(MalformedBody, match="followed by 4"):
        split_tensors(b"abcd", sizes)


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_header_and_tensors_part_where_the_length_says(header: bytes, payload: bytes) -> None:
    assert split_body(header + payload, str(len(header))) == (header, payload)
    assert split_body(header + payload, None) == (header + payload, b"")


@pytest.mark.parametrize("length", ["5", "-1", "", "x", "1.0", "１", "²", "9" * 5000, " 1", "1_0", "+1"])  # noqa: RUF001
def test_a_length_that_the_body_does_not_have_is_refused(length: str) -> None:
    with pytest.raises(MalformedBody, match="at most 4"):
        split_body(b"{}ab", length)
