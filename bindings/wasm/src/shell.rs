//! The calls of the boundary on plain bytes: decode, call, encode. No pointer and no global lives here.
//!
//! Every answer begins with 0 (done; the value follows) or 1 (not done; what follows says why: one line of text, or the fault of a
//! request that cannot be made). An engine refuses a wrong call and stays as it was.
//!
//! Upload address and auth are not read here: a page has `atob` and `JSON.parse`, and hands their members over as an `Authority`.

use alloc::string::String;
use alloc::vec::Vec;

use vodferry_engine::{Config, Engine, FileId, FileSpec, Grant, Input, Misuse, Now, Op};
use vodferry_exchange::{Answer, Authority, Digests};
use vodferry_oss::Response;

use crate::codec::{Wire, decode};

/// The engines of one page.
#[derive(Debug, Default)]
pub struct Shell {
    /// Numbered from 1; a place is not used twice.
    engines: Vec<Option<Engine>>,
}

/// A command to an engine. See the methods of [`Engine`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Command {
    Add { spec: FileSpec },
    Authorize { file: FileId, grant: Grant },
    Cancel { file: FileId },
    Clear,
    NetworkChanged,
    Pause { file: Option<FileId> },
    Remove { file: FileId },
    Restore { file: FileId },
    Resume { file: Option<FileId> },
    SetPriority { file: FileId, priority: i32 },
    Start,
    Stop,
}

/// A signed request as a browser takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// For example `PUT`.
    pub method: String,
    /// Encoded.
    pub url: String,
    /// Names in lower case. None of them is one that a page may not set.
    pub headers: Vec<(String, String)>,
    /// Of control requests; empty for uploads, whose bytes the shell adds.
    pub body: Vec<u8>,
}

const GARBLED: &str = "the input is not written as the codec says";
const NO_ENGINE: &str = "there is no engine of this number";

impl Shell {
    /// Without engines.
    pub const fn new() -> Shell {
        Shell { engines: Vec::new() }
    }

    /// `(Config, seed u64)` → the engine's number, `u32`.
    pub fn engine_new(&mut self, input: &[u8]) -> Vec<u8> {
        reply(decode(input).ok_or(GARBLED).and_then(|(config, seed): (Config, u64)| {
            let engine = Engine::new(config, seed).map_err(rule)?;
            self.engines.push(Some(engine));
            Ok(self.engines.len() as u32)
        }))
    }

    /// Ends an engine; without effect on one that is not there.
    pub fn engine_free(&mut self, number: u32) {
        if let Some(place) = self.place(number) {
            *place = None;
        }
    }

    /// `(Now, Command)` → the file's id, `u64`, for Add; 0 for the others.
    pub fn engine_command(&mut self, number: u32, input: &[u8]) -> Vec<u8> {
        reply(self.engine(number, input).and_then(|(engine, (now, command))| {
            match command {
                Command::Add { spec } => return engine.add(now, spec).map(|id| id.0).map_err(rule),
                Command::Authorize { file, grant } => engine.authorize(now, file, grant),
                Command::Cancel { file } => engine.cancel(now, file),
                Command::Pause { file } => engine.pause(now, file),
                Command::Remove { file } => engine.remove(now, file),
                Command::Restore { file } => engine.restore(now, file),
                Command::Resume { file } => engine.resume(now, file),
                Command::SetPriority { file, priority } => engine.set_priority(now, file, priority),
                Command::Clear => {
                    engine.clear(now);
                    Ok(())
                }
                Command::NetworkChanged => {
                    engine.network_changed(now);
                    Ok(())
                }
                Command::Start => {
                    engine.start(now);
                    Ok(())
                }
                Command::Stop => {
                    engine.stop(now);
                    Ok(())
                }
            }
            .map(|()| 0)
            .map_err(rule)
        }))
    }

    /// `(Now, Input)` → nothing.
    pub fn engine_handle(&mut self, number: u32, input: &[u8]) -> Vec<u8> {
        reply(self.engine(number, input).map(|(engine, (now, input)): (_, (Now, Input))| {
            engine.handle(now, input);
        }))
    }

    /// `Now` → one `Output`.
    pub fn engine_poll(&mut self, number: u32, input: &[u8]) -> Vec<u8> {
        reply(self.engine(number, input).map(|(engine, now): (_, Now)| engine.poll(now)))
    }

    /// Nothing → the list of `FileView`.
    pub fn engine_files(&mut self, number: u32) -> Vec<u8> {
        reply(self.engine(number, &[]).map(|(engine, ()): (_, ())| engine.files()))
    }

    fn engine<T: Wire>(
        &mut self,
        number: u32,
        input: &[u8],
    ) -> Result<(&mut Engine, T), &'static str> {
        let engine = self.place(number).and_then(Option::as_mut).ok_or(NO_ENGINE)?;
        Ok((engine, decode(input).ok_or(GARBLED)?))
    }

    fn place(&mut self, number: u32) -> Option<&mut Option<Engine>> {
        self.engines.get_mut((number as usize).checked_sub(1)?)
    }
}

/// `(Authority, Op, Digests, headers, at i64)` → [`Prepared`], or the fault.
pub fn exchange_request(input: &[u8]) -> Vec<u8> {
    type Asked = (Authority, Op, Digests, Vec<(String, String)>, i64);
    let Some((authority, op, digests, headers, at_ms)) = decode::<Asked>(input) else {
        return reply::<()>(Err(GARBLED));
    };
    let prepared =
        vodferry_exchange::request(&op, &authority, &digests, &headers, at_ms).map(|request| {
            Prepared {
                method: request.method.as_str().into(),
                url: request.url(),
                headers: request.headers,
                body: request.body,
            }
        });
    let mut out = Vec::new();
    prepared.put(&mut out);
    out
}

/// `(Authority, Op, Digests, Response)` → `Answer`.
pub fn exchange_answer(input: &[u8]) -> Vec<u8> {
    type Got = (Authority, Op, Digests, Response);
    reply(decode(input).ok_or(GARBLED).map(|(authority, op, digests, response): Got| -> Answer {
        vodferry_exchange::answer(&op, &authority, &response, &digests)
    }))
}

fn reply<T: Wire>(result: Result<T, &str>) -> Vec<u8> {
    let mut out = Vec::new();
    result.map_err(String::from).put(&mut out);
    out
}

fn rule(misuse: Misuse) -> &'static str {
    misuse.rule
}
