from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidRequest
from service.inputs import TokensInput
from service.limits import check_inputs
from service.settings import Settings

SETTINGS = Settings(max_text_chars=20)
TOKEN = st.sampled_from(["a", "", " ", "\n\u2003", "a b", "\u200b", "long" * 4]) | st.text()


def faulty_fields(tokens: list[str]) -> set[str]:
    try:
        check_inputs([TokensInput(tokens=tuple(tokens))], SETTINGS)
    except InvalidRequest as error:
        return {each.field for each in error.errors}
    return set()


@given(st.lists(TOKEN, min_size=1, max_size=9))
def test_every_token_that_is_blank_or_too_long_is_named(tokens: list[str]) -> None:
    expected = {
        f"inputs.0.tokens.{place}"
        for place, token in enumerate(tokens)
        if not token.strip() or len(token) > SETTINGS.max_text_chars
    }
    text = " ".join(tokens)
    if not text.strip() or len(text) > SETTINGS.max_text_chars:
        expected.add("inputs.0.tokens")
    assert faulty_fields(tokens) == expected
