from tests.integration.realtime.fuzz import fuzz_decoders, fuzz_live


def test_decoders_raise_nothing_of_their_own() -> None:
    fuzz_decoders(500, seed=7)


async def test_live_connections_survive_and_leave_nothing() -> None:
    await fuzz_live(400, seed=7)
