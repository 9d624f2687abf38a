//! With which codes this side closes a socket, beside that of a client which closed first.

/// The server stops (RFC 6455's registry: service restart).
pub const RESTART: u16 = 1012;
/// What was to be told could not be read, or was not taken in time (RFC 6455's registry: try again later).
pub const AGAIN: u16 = 1013;
/// A frame was not a text (RFC 6455: unsupported data).
pub const NO_TEXT: u16 = 1003;
/// A frame was too long (RFC 6455: message too big).
pub const TOO_LONG: u16 = 1009;
/// The token ended.
pub const TOKEN_EXPIRED: u16 = 4401;
/// Nothing was heard for a while.
pub const SILENT: u16 = 4408;
/// Too many frames.
pub const TOO_MANY: u16 = 4429;

/// All of them: why, and how to come back.
pub const ALL: [(u16, &str, &str); 7] = [
    (NO_TEXT, "a frame was not a text", "when it is mended"),
    (RESTART, "the server stops; it closes its sockets one after the other", "at once"),
    (AGAIN, "what was to be told could not be read, or not be sent in time", "in a moment"),
    (TOKEN_EXPIRED, "the token has expired", "with another"),
    (SILENT, "nothing was heard for more than a minute", "at once"),
    (TOO_LONG, "a frame was too long", "with shorter ones"),
    (TOO_MANY, "too many frames", "more slowly"),
];
