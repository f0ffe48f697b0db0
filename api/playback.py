"""Routes of recordings: what is recorded, and how it is played."""

from dataclasses import asdict

from fastapi import APIRouter, Request, Response

from api import schemas
from api.answers import Part, as_json, paged
from api.conditional import Conditional
from engine import Engine, ReplayPosition, current
from utils.errors import InputError

router = APIRouter(route_class=Conditional)


@router.get("/replay", response_model=schemas.Replay, summary="How far the replay is; 422 where none is open")
def replay() -> Response:
    return as_json(asdict(current().replay.position()))


@router.post("/replay", response_model=schemas.Replay, summary="Open, play, pause, step or seek; how far it is then")
def command(body: schemas.ReplayCommand) -> Response:
    return as_json(asdict(_obey(current(), body)))


def _obey(engine: Engine, body: schemas.ReplayCommand) -> ReplayPosition:
    replay = engine.replay
    match body.action:
        case "open":
            return engine.replay_recordings(body.recordings)
        case "play":
            return replay.play()
        case "pause":
            return replay.pause()
        case "step":
            return replay.step(body.to)
        case "seek":
            return replay.seek(body.at_us, body.share)
    if body.speed is None:
        raise InputError("speed is missing", "speed")
    return replay.speed(body.speed)


@router.get("/recordings", response_model=list[schemas.Recorded], summary="Recorded files, newest first")
def recordings(request: Request, part: Part) -> Response:
    return paged(request, [asdict(row) for row in current().recordings()], part)


@router.post("/recordings", response_model=schemas.Recording, summary="Begin or end the recording of the open market")
def record(body: schemas.RecordingCommand) -> Response:
    engine = current()
    found = engine.start_recording() if body.action == "start" else engine.stop_recording()
    return as_json(asdict(found))


@router.delete("/recordings/{name}", status_code=204, summary="Delete a recorded file")
def delete(name: str) -> None:
    current().delete_recording(name)
