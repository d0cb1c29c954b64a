"""The census over HTTP, in memory: a survey is begun, looked at, refused; nothing else can be reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from census.api import api
from driven import Settings, WorkerSettings
from driven.entrypoints.http import asgi

if TYPE_CHECKING:
    from pathlib import Path

START = "/commands/census.StartSurvey"
SETTLED = {"Prefer": "wait=30; until=settled"}


async def test_a_survey_is_begun_and_its_table_is_read(tmp_path: Path) -> None:
    """What a service of the census is for; a root that is not there and an id that is taken are told as such."""
    (tmp_path / "plain.py").write_text("def f(): pass\n")
    (tmp_path / "forked.py").write_text("def g(a, b): return a or b\n")
    face = asgi(api, Settings(workers=WorkerSettings(count=0)))
    body = {"survey_id": "s", "root": str(tmp_path)}

    async with (
        face.opened(),
        httpx.AsyncClient(transport=httpx.ASGITransport(face), base_url="http://census", headers=SETTLED) as client,
    ):
        unknown = await client.get("/surveys/s")
        begun = await client.post(START, json=body)
        table = (await client.get("/surveys/s?top=1")).json()
        too_few = await client.get("/surveys/s?top=0")
        again = await client.post(START, json=body)
        nowhere = await client.post(START, json={"survey_id": "t", "root": "/no/such/folder"})
        inner = await client.post("/commands/census.TallyFile", json={})

    assert (unknown.status_code, begun.status_code, too_few.status_code, inner.status_code) == (404, 200, 422, 404)
    assert (table["done"], table["expected"], table["is_finished"]) == (2, 2, True)
    assert [file["path"] for file in table["most_complex"]] == ["forked.py"]
    assert (again.status_code, nowhere.status_code) == (422, 422)
    assert "give a folder that exists" in nowhere.json()["detail"]
