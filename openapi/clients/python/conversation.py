"""A conversation with a Tabletalk server: what a client does, step by step, and what it is told."""

import os
from http import HTTPStatus
from typing import TypeVar
from uuid import UUID, uuid4

from chat import AuthenticatedClient
from chat.api.changes import sync_chats
from chat.api.chats import create_chat, list_chats
from chat.api.friends import add_friend
from chat.api.messages import add_reaction, delete_message, edit_message, list_messages, send_message
from chat.api.participants import mark_read
from chat.api.users import get_me
from chat.models import (
    Change,
    ChangeKind,
    Chat,
    ChatType,
    FriendStatus,
    Message,
    MessageEdit,
    MessagePage,
    NewChat,
    NewChatType,
    NewMessage,
    Problem,
    ReadUpTo,
)
from chat.types import UNSET, Unset

T = TypeVar("T")


def client(token: str) -> AuthenticatedClient:
    url = os.environ.get("TABLETALK_URL", "http://127.0.0.1:8080")
    return AuthenticatedClient(base_url=url, token=os.environ[token], raise_on_unexpected_status=True)


def ok(answer: T | Problem | None) -> T:
    """What an operation answered: its data, or an error that says which rule refused it."""
    if isinstance(answer, Problem):
        raise SystemExit(f"{answer.code}: {answer.detail}")
    assert answer is not None
    return answer


alice, bob = client("ALICE_TOKEN"), client("BOB_TOKEN")
me, other = ok(get_me.sync(client=alice)), ok(get_me.sync(client=bob))

# friends: one asks, the other agrees
ok(add_friend.sync(other.id, client=alice))
friend = ok(add_friend.sync(me.id, client=bob))
assert friend.status == FriendStatus.FRIENDS
print(f"{other.display_name} and {friend.name} are {friend.status}")

# their direct chat: the one there is, or a new one
chat = ok(create_chat.sync(client=alice, body=NewChat(type_=NewChatType.DIRECT, participant_ids=[other.id])))
assert chat.type_ == ChatType.DIRECT
print(f"{me.display_name} opens the chat with {chat.name}")


# sync: what changed in all chats since a position, until there is no more
def sync(since: str | Unset = UNSET) -> tuple[list[Change], str]:
    answer = ok(sync_chats.sync(client=bob, since=since))
    if not answer.more:
        return answer.data, answer.position
    rest, position = sync(answer.position)
    return answer.data + rest, position


position = sync()[1]


# send: with an id of one's own, sending again is safe
def send(text: str, id: UUID) -> Message:
    return ok(send_message.sync(chat.id, client=alice, body=NewMessage(id=id, text=text)))


first = send("Are you coming to the concert?", uuid4())
second = send("It begins at eihgt.", uuid4())
third = send("I have two tickets.", uuid4())
assert send(third.text, third.id).seq == third.seq
print(f"{me.display_name} sends three messages")


# page: newest first, on from a cursor
def page(limit: int, cursor: str | Unset = UNSET) -> MessagePage:
    return ok(list_messages.sync(chat.id, client=bob, limit=limit, cursor=cursor))


newest = page(2)
assert [message.id for message in newest.data] == [third.id, second.id]
assert newest.next_cursor is not None
assert page(2, newest.next_cursor).data[0].text == first.text
print(f"{other.display_name} reads them, two a page")

# edit: one's own
edited = ok(edit_message.sync(chat.id, second.id, client=alice, body=MessageEdit(text="It begins at eight.")))
assert edited.edited_at and edited.rev > second.rev
print(f"{me.display_name} edits: {edited.text}")

# somebody else's is refused, and the problem says by which rule
refused = edit_message.sync_detailed(chat.id, second.id, client=bob, body=MessageEdit(text="It never begins."))
assert refused.status_code == HTTPStatus.FORBIDDEN and isinstance(refused.parsed, Problem)
assert refused.parsed.code == "messages_are_edited_by_their_sender" and refused.parsed.rule == "messages.3"
print(f"{other.display_name} may not: {refused.parsed.rule}, {refused.parsed.title}")

# react
liked = ok(add_reaction.sync(chat.id, second.id, "👍", client=bob))
assert [(reaction.emoji, reaction.count, reaction.mine) for reaction in liked.reactions] == [("👍", 1, True)]
print(f"{other.display_name} reacts: {liked.reactions[0].emoji}")

# delete
deleted = delete_message.sync_detailed(chat.id, third.id, client=alice)
assert deleted.status_code == HTTPStatus.NO_CONTENT
assert page(1).data[0].id == second.id
print(f"{me.display_name} deletes one")


# what a device missed that was away meanwhile: everything as it is now
changes = sync(position)[0]
created = next(change for change in changes if change.message and change.message.id == second.id)
assert created.kind == ChangeKind.MESSAGE_CREATED and created.message and created.message.text == edited.text
gone = next(change for change in changes if change.message_id == third.id)
assert gone.kind == ChangeKind.MESSAGE_DELETED
print(f"{other.display_name} catches up: {created.message.text}")


# the list of chats, with what is unread
def listed() -> Chat:
    chats = ok(list_chats.sync(client=bob, type_=ChatType.DIRECT))
    return next(found for found in chats.data if found.id == chat.id)


unread = listed()
assert unread.unread_count == 2
assert unread.last_message and unread.last_message.text == edited.text
ok(mark_read.sync(chat.id, client=bob, body=ReadUpTo(seq=second.seq)))
assert listed().unread_count == 0
print(f"{other.display_name} had {unread.unread_count} unread messages in {unread.name}, and now none")
