"""What the document cannot know: who and what is there. Most of the ids that are made up become such.

Keeps count of what each operation was answered with.
"""

import atexit
import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID

import schemathesis

there: dict[str, Any] = json.loads(Path(os.environ["FUZZ_THERE"]).read_text())
chance = random.Random(os.environ["FUZZ_SEED"])
answers: Counter[str] = Counter()

# what is gone afterwards is taken from the spare ones
ENDING = {"deleteChat", "removeParticipant", "blockUser"}
PEOPLE = {"userId", "ids", "participantIds", "mentions", "userIds"}
CHATS = {"chatId", "chatIds", "idOrUid"}
MESSAGES = {"messageId", "around", "replyToId", "id"}
PERCENT = 85
ITEMS_MAX = 1_000
# seconds that a request may ask to be kept waiting: here none is
WAIT_MAX = 30


def is_uuid(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(UUID(value))
    except ValueError:
        return False


def real(name: str, value: Any, chat: dict[str, Any], operation: str) -> Any:
    """Something that is there, in place of what was made up; what is not of its form stays as it is."""
    if isinstance(value, list):
        return [real(name, item, chat, operation) for item in value]
    if name == "wait" and str(value).isdecimal() and int(value) <= WAIT_MAX:
        return 0
    if chance.randrange(100) >= PERCENT:
        return value
    if is_uuid(value) or name == "idOrUid" and isinstance(value, str):
        if name in PEOPLE:
            return chance.choice(there["spare" if operation in ENDING else "people"])
        if name in CHATS:
            return chat["id"]
        if name in MESSAGES:
            return chance.choice(chat["messages"])["id"]
    if name == "seq" and isinstance(value, int):
        return chance.choice(chat["messages"])["seq"]
    if name == "cursor" and isinstance(value, str):
        return chance.choice(there["cursors"].get(operation, [value]))
    if name in there["texts"] and isinstance(value, str):
        return chance.choice(there["texts"][name])
    return value


@schemathesis.hook
def filter_case(context: object, case: schemathesis.Case) -> bool:
    # null for an optional field is taken for its absence, which the document does not promise and nobody has to rely on
    invalid = case.meta is not None and case.meta.generation.mode.is_negative
    if invalid and isinstance(case.body, dict) and None in case.body.values():
        return False
    # a longer line than 64 KiB is refused before anybody knows which operation it is for
    query = case.query if isinstance(case.query, dict) else {}
    return all(len(value) <= ITEMS_MAX for value in query.values() if isinstance(value, list))


@schemathesis.hook
def before_call(context: object, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    operation = case.operation.definition.raw["operationId"]
    chat = chance.choice(there["spareChats" if operation in ENDING else "chats"])
    valid = case.meta is None or case.meta.generation.mode.is_positive
    if valid and operation in there["bodies"] and chance.randrange(3) == 0:
        # fields that fit one by one rarely fit together
        case.body = chance.choice(there["bodies"][operation])
    for values in (case.path_parameters, case.query, case.body):
        if isinstance(values, dict):
            for name, value in values.items():
                values[name] = real(name, value, chat, operation)


@schemathesis.hook
def after_call(context: object, case: schemathesis.Case, response: schemathesis.Response) -> None:
    answers[f"{case.operation.definition.raw['operationId']} {response.status_code}"] += 1


@atexit.register
def write() -> None:
    Path(os.environ["FUZZ_ANSWERS"]).write_text(json.dumps(answers))
