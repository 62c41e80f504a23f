import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.models.routing import Asked, CanaryWish, Route, Share

REQUEST_IDS = st.text(max_size=40)
PERCENT = st.floats(0, 100)
VERSIONS = st.sampled_from(["1", "2", "3"])
SHARES = st.none() | st.builds(Share, version=VERSIONS, percent=PERCENT)
ROUTES = st.builds(Route, default=VERSIONS, previous=st.none() | VERSIONS, canary=SHARES, shadow=SHARES)


def canary(percent: float) -> Route:
    return Route(default="1", canary=Share(version="2", percent=percent))


@given(ROUTES, REQUEST_IDS, st.sampled_from([None, *CanaryWish]))
def test_a_pinned_version_answers_whatever_the_route_says(
    route: Route, request_id: str, wish: CanaryWish | None
) -> None:
    assert route.choose(Asked(request_id=request_id, version="7", canary=wish)) == "7"


@given(PERCENT, REQUEST_IDS)
def test_the_header_decides_before_the_percentage(percent: float, request_id: str) -> None:
    route = canary(percent)
    assert route.choose(Asked(request_id=request_id, canary=CanaryWish.ALWAYS)) == "2"
    assert route.choose(Asked(request_id=request_id, canary=CanaryWish.NEVER)) == "1"


@given(st.tuples(PERCENT, PERCENT).map(sorted), REQUEST_IDS)
def test_raising_the_percentage_takes_nobody_off_the_canary(percents: list[float], request_id: str) -> None:
    low, high = (canary(each).choose(Asked(request_id=request_id)) for each in percents)
    assert (low, high) != ("2", "1")


@given(REQUEST_IDS)
def test_no_request_is_among_0_percent_and_each_is_among_100(request_id: str) -> None:
    assert canary(0).choose(Asked(request_id=request_id)) == "1"
    assert canary(100).choose(Asked(request_id=request_id)) == "2"


@pytest.mark.parametrize("percent", [1, 10, 50])
def test_the_canary_gets_about_its_percentage(percent: float) -> None:
    route, total = canary(percent), 20_000
    taken = sum(route.choose(Asked(request_id=str(number))) == "2" for number in range(total))
    # Five standard deviations of the binomial distribution. The ids are fixed, so this is exact.
    spread = 5 * (total * percent / 100 * (1 - percent / 100)) ** 0.5
    assert abs(taken - total * percent / 100) < spread


def test_shadow_and_canary_draw_independently() -> None:
    route = Route(default="1", canary=Share(version="2", percent=50), shadow=Share(version="2", percent=50))
    ids = [str(number) for number in range(4000)]
    default = [each for each in ids if route.choose(Asked(request_id=each)) == "1"]
    shadowed = [each for each in default if route.shadowed("1", each) == "2"]
    assert 0.45 < len(shadowed) / len(default) < 0.55


@given(ROUTES, REQUEST_IDS)
def test_no_version_is_its_own_shadow(route: Route, request_id: str) -> None:
    chosen = route.choose(Asked(request_id=request_id))
    assert route.shadowed(chosen, request_id) != chosen


@given(ROUTES, VERSIONS)
def test_a_rollback_after_a_swap_answers_as_before(route: Route, version: str) -> None:
    swapped = route.swap(version)
    assert swapped.default == version
    if version == route.default:
        assert swapped == route
    else:
        assert swapped.roll_back().default == route.default
        assert version not in {each for role, each in swapped.roles() if role != "default"}


def test_a_rollback_ends_canary_and_shadow() -> None:
    route = Route(default="1", canary=Share(version="2", percent=10)).swap("3").roll_back()
    assert route == Route(default="1", previous="3")


def test_there_is_nothing_to_roll_back_to_before_a_swap() -> None:
    with pytest.raises(LookupError):
        Route(default="1").roll_back()
