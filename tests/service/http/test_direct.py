import httpx
from fastapi import APIRouter, FastAPI, Request, Response

from service.http.direct import DirectRoute


def application() -> FastAPI:
    router = APIRouter(route_class=DirectRoute)

    @router.post("/tasks/{task}", summary="Ask")
    async def ask(request: Request, task: str) -> Response:
        return Response(f"{task}: {(await request.body()).decode()}", status_code=201)

    return FastAPI(routes=router.routes)


async def test_the_endpoint_gets_the_path_and_answers_alone() -> None:
    transport = httpx.ASGITransport(app=application())
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.post("/tasks/7%20b", content=b"not json")
        assert (answer.status_code, answer.text) == (201, "7 b: not json")
        assert (await client.get("/tasks/7")).status_code == 405


def test_the_route_is_described_with_its_path_parameter() -> None:
    operation = application().openapi()["paths"]["/tasks/{task}"]["post"]
    assert operation["summary"] == "Ask"
    assert [(each["name"], each["in"]) for each in operation["parameters"]] == [("task", "path")]
