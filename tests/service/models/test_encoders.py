from service.cost import WINDOW, CostModel, CostSample
from tests.support.service_fakes import parts, running, sequence

QUICK = CostModel(fixed_s=0.001, per_token_s=0.0001, per_attention_s=1e-7)


async def test_the_time_of_a_backlog_follows_a_machine_that_got_slower() -> None:
    async with running(parts(cost=QUICK)) as runtime:
        host = runtime.models.default.host
        host.batcher.submit([(b"", sequence(20))], deadline_s=float("inf"))  # nothing ran since: it waits
        before_s = host.backlog_s()
        for _ in range(WINDOW):
            host.cost.saw(CostSample(rows=1, row_len=64, seconds=3 * QUICK.batch_s(1, 64)))
        assert host.backlog_s() > 2 * before_s > 0
