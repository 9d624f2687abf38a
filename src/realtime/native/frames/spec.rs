//! What a frame is made of, for who describes them: the tables of [`super::server`] and [`super::client`] are read by the document.

use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::types::Type;

/// What stands beside a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// `chatId`.
    Chat,
    /// `rev`.
    Rev,
    /// `ref`.
    Reference,
}

/// Through which door frames go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The WebSocket.
    Socket,
    /// The events of one chat.
    ChatStream,
    /// The events of all of one's chats.
    Stream,
}

/// A frame of the server's.
#[derive(Debug)]
pub struct ServerSpec {
    /// Its `type`.
    pub name: &'static str,
    pub description: &'static str,
    pub doors: &'static [Door],
    /// What it always has beside its payload.
    pub always: &'static [Beside],
    /// What it may have.
    pub sometimes: &'static [Beside],
    pub payload: Schema,
    /// A schema of the API's whose fields its payload may have as well.
    pub extends: Option<&'static str>,
}

/// A frame of a client's.
#[derive(Debug)]
pub struct ClientSpec {
    /// Tells those apart that have the same `type`.
    pub key: &'static str,
    /// Its `type`.
    pub name: &'static str,
    pub description: &'static str,
    pub payload: Schema,
    /// A schema of the API's whose fields its payload has as well: the body of the request that it stands for.
    pub extends: Option<&'static str>,
    /// The `type` of what answers it, if it is not `error`.
    pub answer: &'static str,
}

/// The schema of a type, registered with what it refers to.
pub type Schema = fn(&mut Registry) -> MetaSchemaRef;

/// The schema of `T`.
pub fn schema<T: Type>(registry: &mut Registry) -> MetaSchemaRef {
    T::register(registry);
    T::schema_ref()
}

/// Makes the enum of the server's frames, that of their kinds, and the table of what they are made of.
///
/// A line says: the variant with its payload, the `type`, where it is told, what always stands beside its payload, what may.
macro_rules! server_frames {
    ($($(#[doc = $doc:literal])+ $frame:ident($payload:ty) = $name:literal $(extends $base:literal)?,
        at [$($door:ident),+], with [$($always:ident),*], may [$($may:ident),*];)+) => {
        /// A frame of the server's, without what stands beside its payload.
        #[derive(Debug, serde::Serialize)]
        #[serde(untagged)]
        pub enum ServerFrame {
            $($(#[doc = $doc])+ $frame($payload),)+
        }

        /// Which frame of the server's it is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind {
            $($(#[doc = $doc])+ $frame,)+
        }

        impl Kind {
            /// The frame's `type`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$frame => $name,)+ }
            }
        }

        impl ServerFrame {
            /// Which it is.
            pub const fn kind(&self) -> Kind {
                match self { $(Self::$frame(_) => Kind::$frame,)+ }
            }
        }

        /// What each is made of.
        pub const SERVER_FRAMES: &[$crate::realtime::native::frames::spec::ServerSpec] = &[
            $($crate::realtime::native::frames::spec::ServerSpec {
                name: $name,
                description: concat!($($doc, "\n"),+),
                doors: &[$($crate::realtime::native::frames::spec::Door::$door),+],
                always: &[$($crate::realtime::native::frames::spec::Beside::$always),*],
                sometimes: &[$($crate::realtime::native::frames::spec::Beside::$may),*],
                payload: $crate::realtime::native::frames::spec::schema::<$payload>,
                extends: $crate::realtime::native::frames::spec::first!($(Some($base),)? None),
            },)+
        ];
    };
}

/// Makes the enum of what clients ask for, its reader, and the table of the frames' parts.
///
/// A line says: the variant, which is called as its payload, the `type`, and the kind of the answer. Where two frames have one `type`, each has
/// a key of its own, and the first whose payload is meant is read.
macro_rules! client_frames {
    ($($(#[doc = $doc:literal])+ $frame:ident = $name:literal $(as $key:literal)? $(extends $base:literal)? => $answer:ident;)+) => {
        /// What a client asks for.
        #[derive(Debug, PartialEq)]
        pub enum Asked {
            $($(#[doc = $doc])+ $frame($frame),)+
        }

        impl Asked {
            fn read(kind: &str, fields: &Fields) -> Result<Self, String> {
                $(if kind == $name && $frame::is_meant(fields) {
                    return $frame::read(fields).map(Self::$frame);
                })+
                let mut names = vec![$($name),+];
                names.dedup();
                Err(format!("type is none of {}", names.join(", ")))
            }
        }

        /// What each is made of.
        pub const CLIENT_FRAMES: &[$crate::realtime::native::frames::spec::ClientSpec] = &[
            $($crate::realtime::native::frames::spec::ClientSpec {
                key: $crate::realtime::native::frames::spec::first!($($key,)? $name),
                name: $name,
                description: concat!($($doc, "\n"),+),
                payload: $crate::realtime::native::frames::spec::schema::<$frame>,
                extends: $crate::realtime::native::frames::spec::first!($(Some($base),)? None),
                answer: $crate::realtime::native::frames::server::Kind::$answer.as_str(),
            },)+
        ];
    };
}

/// The first of some.
macro_rules! first {
    ($first:expr $(, $rest:expr)*) => {
        $first
    };
}

pub(crate) use {client_frames, first, server_frames};
