//! The matrix: of each operation, who is told what, and which rows it changes.
//!
//! A private room of alice's, with a moderator, two members (erin is one) and what erin said there; see [`super::place`]. An outcome is the
//! status, what the answer is about, and after a bar the rows that are new (+), different (~) and gone (-), by table; see
//! [`super::outcome`]. `me` is who asks; `others` are people of elsewhere.

/// An operation, and the outcome for each group of callers.
pub type Row = (&'static str, &'static [(&'static str, &'static str)]);

#[rustfmt::skip]
pub const EXPECTED: &[Row] = &[
    ("listUsers", &[
        ("nobody expired", "401"),
        ("anon", "403"),
        ("stranger", "200 [me]"),
        ("member", "200 [erin me moderator owner]"),
        ("moderator", "200 [erin me member owner]"),
        ("owner", "200 [erin me member moderator]"),
        ("service", "200 [erin member moderator others outsider owner stranger]"),
    ]),
    ("getUser", &[
        ("nobody expired", "401"),
        ("anon", "403"),
        ("stranger", "404"),
        ("member moderator owner service", "200 erin"),
    ]),
    ("getMe", &[
        ("nobody expired", "401"),
        ("anon", "403"),
        ("stranger member moderator owner", "200 me"),
        ("service", "404"),
    ]),
    ("updateMe", &[
        ("nobody expired", "401"),
        ("anon", "403"),
        ("stranger member moderator owner", "200 me | users ~me"),
        ("service", "404"),
    ]),
    ("deleteMe", &[
        ("nobody expired", "401"),
        ("anon", "403"),
        ("stranger", "204 | blocks -erin:me, users ~me"),
        ("member moderator", "204 | participants ~me, users ~me"),
        ("owner", "204 | participants ~me ~moderator, users ~me"),
        ("service", "404"),
    ]),
    ("exportMe", &[
        ("nobody expired", "401"),
        ("anon", "403"),
        ("stranger", "200 profile me, end"),
        ("member moderator owner", "200 profile me, participation room, end"),
        ("service", "404"),
    ]),
    ("listFriends", &[
        ("nobody expired", "401"),
        ("anon", "403"),
        ("stranger member moderator owner service", "200 []"),
    ]),
    ("addFriend", &[
        ("nobody expired", "401"),
        ("anon service", "403"),
        ("stranger member moderator owner", "201 outsider | friendships +me:outsider"),
    ]),
    ("removeFriend", &[
        ("nobody expired", "401"),
        ("anon", "403"),
        ("stranger member moderator owner service", "204"),
    ]),
    ("listBlocks", &[
        ("nobody expired", "401"),
        ("anon", "403"),
        ("stranger member moderator owner service", "200 []"),
    ]),
    ("blockUser", &[
        ("nobody expired", "401"),
        ("anon service", "403"),
        ("stranger member moderator owner", "201 outsider | blocks +me:outsider"),
    ]),
    ("unblockUser", &[
        ("nobody expired", "401"),
        ("anon", "403"),
        ("stranger member moderator owner service", "204"),
    ]),
    ("listChats", &[
        ("nobody expired", "401"),
        ("anon stranger service", "200 []"),
        ("member moderator owner", "200 [room]"),
    ]),
    ("createChat", &[
        ("nobody expired", "401"),
        ("anon service", "403"),
        ("stranger member moderator owner", "201 new | chats +new, participants +me"),
    ]),
    ("getChat", &[
        ("nobody expired", "401"),
        ("anon stranger", "403"),
        ("member moderator owner service", "200 room"),
    ]),
    ("listRooms", &[
        ("nobody expired", "401"),
        ("anon stranger member moderator owner service", "200 []"),
    ]),
    ("getRoom", &[
        ("nobody expired", "401"),
        ("anon stranger", "403"),
        ("member moderator owner service", "200 room"),
    ]),
    ("updateChat", &[
        ("nobody expired", "401"),
        ("anon stranger member", "403"),
        ("moderator owner service", "200 room | chats ~room"),
    ]),
    ("deleteChat", &[
        ("nobody expired", "401"),
        ("anon stranger member moderator", "403"),
        ("owner", "204 | chats ~room, participants ~erin ~me ~member ~moderator"),
        ("service", "204 | chats ~room, participants ~erin ~member ~moderator ~owner"),
    ]),
    ("joinChat", &[
        ("nobody expired", "401"),
        ("anon stranger service", "403"),
        ("member moderator owner", "200 room"),
    ]),
    ("putEventChat", &[
        ("nobody expired", "401"),
        ("anon stranger member moderator owner", "403"),
        ("service", "200 event | chats ~event, participants +outsider ~erin"),
    ]),
    ("deleteEventChat", &[
        ("nobody expired", "401"),
        ("anon stranger member moderator owner", "403"),
        ("service", "204 | chats ~event, participants ~erin"),
    ]),
    ("listParticipants", &[
        ("nobody expired", "401"),
        ("anon stranger", "403"),
        ("member", "200 [erin me moderator owner]"),
        ("moderator", "200 [erin me member owner]"),
        ("owner", "200 [erin me member moderator]"),
        ("service", "200 [erin member moderator owner]"),
    ]),
    ("setParticipant", &[
        ("nobody expired", "401"),
        ("anon stranger member", "403"),
        ("moderator owner service", "200 outsider | participants +outsider"),
    ]),
    ("removeParticipant", &[
        ("nobody expired", "401"),
        ("anon stranger member", "403"),
        ("moderator owner service", "204 | participants ~erin"),
    ]),
    ("markRead", &[
        ("nobody expired", "401"),
        ("anon stranger service", "403"),
        ("member moderator owner", "200 | read_markers +me"),
    ]),
    ("listPresence", &[
        ("nobody expired", "401"),
        ("anon stranger", "403"),
        ("member", "200 [erin me moderator owner]"),
        ("moderator", "200 [erin me member owner]"),
        ("owner", "200 [erin me member moderator]"),
        ("service", "200 [erin member moderator owner]"),
    ]),
    ("listPresenceStates", &[
        ("nobody expired", "401"),
        ("anon stranger", "403"),
        ("member moderator owner service", "200 [erin]"),
    ]),
    ("setTyping", &[
        ("nobody expired", "401"),
        ("anon stranger service", "403"),
        ("member moderator owner", "204"),
    ]),
    ("listMessages", &[
        ("nobody expired", "401"),
        ("anon stranger", "403"),
        ("member", "200 [message pinned]"),
        ("moderator owner service", "200 [deleted message pinned]"),
    ]),
    ("listLatestMessages", &[
        ("nobody expired", "401"),
        ("anon stranger", "200 not room"),
        ("member", "200 [message pinned]"),
        ("moderator owner service", "200 [deleted message pinned]"),
    ]),
    ("listChanges", &[
        ("nobody expired", "401"),
        ("anon stranger", "403"),
        ("member", "200 [deleted erin me message moderator owner pinned room]"),
        ("moderator", "200 [deleted erin me member message owner pinned room]"),
        ("owner", "200 [deleted erin me member message moderator pinned room]"),
        ("service", "200 [deleted erin member message moderator owner pinned room]"),
    ]),
    ("syncChats", &[
        ("nobody expired", "401"),
        ("anon", "403"),
        ("stranger service", "200 [], entered []"),
        ("member moderator owner", "200 [], entered [room]"),
    ]),
    ("searchMessages", &[
        ("nobody expired", "401"),
        ("anon stranger", "403"),
        ("member moderator owner service", "200 [message pinned]"),
    ]),
    ("sendBroadcast", &[
        ("nobody expired", "401"),
        ("anon stranger", "403"),
        ("member moderator owner service", "202"),
    ]),
    ("sendMessage", &[
        ("nobody expired", "401"),
        ("anon stranger", "403"),
        ("member moderator owner service", "201 new | messages +new"),
    ]),
    ("getMessage", &[
        ("nobody expired", "401"),
        ("anon stranger", "403"),
        ("member moderator owner service", "200 message"),
    ]),
    ("editMessage", &[
        ("nobody expired", "401"),
        ("anon stranger member moderator owner", "403"),
        ("service", "200 message | message_edits +message, messages ~message"),
    ]),
    ("deleteMessage", &[
        ("nobody expired", "401"),
        ("anon stranger member", "403"),
        ("moderator owner service", "204 | messages ~message"),
    ]),
    ("listEdits", &[
        ("nobody expired", "401"),
        ("anon stranger member", "403"),
        ("moderator owner service", "200 [edit]"),
    ]),
    ("importMessages", &[
        ("nobody expired", "401"),
        ("anon stranger member moderator owner", "403"),
        ("service", "200 | messages +new, read_markers ~erin"),
    ]),
    ("addReaction", &[
        ("nobody expired", "401"),
        ("anon stranger service", "403"),
        ("member moderator owner", "200 message | messages ~message, reactions +me:message"),
    ]),
    ("removeReaction", &[
        ("nobody expired", "401"),
        ("anon stranger", "403"),
        ("member moderator owner service", "204"),
    ]),
    ("listPins", &[
        ("nobody expired", "401"),
        ("anon stranger", "403"),
        ("member moderator owner service", "200 [pinned]"),
    ]),
    ("pinMessage", &[
        ("nobody expired", "401"),
        ("anon stranger member", "403"),
        ("moderator owner service", "200 message | messages ~message"),
    ]),
    ("unpinMessage", &[
        ("nobody expired", "401"),
        ("anon stranger member", "403"),
        ("moderator owner service", "204 | messages ~pinned"),
    ]),
];
