from loadtests.peers.known import PEERS
from loadtests.peers.rounds import CONCURRENCIES, FULL, QUICK


def test_a_quick_survey_of_one_variant_of_every_peer_leaves_time_for_the_rows() -> None:
    programs = {peer.venv for peer in PEERS.values()} | {"infinity's second engine"}
    seconds = sum(QUICK.survey_s(start_s=20) for _ in programs)
    assert seconds < 8 * 60


def test_a_survey_takes_both_sides_at_every_concurrency() -> None:
    assert FULL.survey_s(start_s=30) == 30 + FULL.idle_s + 2 * FULL.pairs * len(CONCURRENCIES) * FULL.run_s


def test_a_closed_loop_ends_after_its_window() -> None:
    for rounds in (QUICK, FULL):
        assert rounds.run_s > rounds.warm_up_s + rounds.window_s
