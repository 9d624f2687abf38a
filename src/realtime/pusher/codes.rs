//! With which codes this side closes a socket. Of them, clients come back at once (4200 to 4299), in a moment (4100 to 4199), or never (4000 to
//! 4099).

use crate::realtime::channels::Why;
use crate::realtime::socket::Closing;

/// No application has this key.
pub const NO_APPLICATION: Closing = Closing(4001, "no application has this key");
/// The query does not say which protocol.
pub const NO_PROTOCOL: Closing = Closing(4008, "the address names no protocol");
/// Another one than is spoken here.
pub const OTHER_PROTOCOL: Closing = Closing(4007, "protocol 7 is spoken here");
/// What was to be told could not be read, or was not taken in time.
pub const AGAIN: Closing = Closing(4100, "what is to be told could not be");
/// There are too many sockets on which nobody is known.
pub const FULL: Closing = Closing(4100, "too many sockets are open");
/// A token ended: whoever comes back is authorised anew.
pub const TOKEN_ENDED: Closing = Closing(4200, "the token has ended");

/// Somebody is not believed, or may not.
pub const NOT_AUTHORISED: u16 = 4009;
/// Too much is sent to others.
pub const TOO_MANY_EVENTS: u16 = 4301;

/// Why a socket is closed that did nothing particular.
pub fn closing(why: Why) -> Closing {
    match why {
        Why::Stopping => Closing(4200, "the server stops"),
        Why::TooMany => Closing(4100, "too many frames"),
        Why::TooLong => Closing(4100, "the frame is too long"),
        Why::Silent => Closing(4201, "nothing was heard"),
        Why::Broken | Why::Slow => AGAIN,
    }
}
