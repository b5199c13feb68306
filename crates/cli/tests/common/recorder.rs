//! A server that wants nothing and forgets nothing.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::{Arc, Mutex};

/// A server that refuses everything and keeps the heads of all requests.
pub struct Recorder {
    pub url: String,
    pub heads: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    pub fn new() -> Recorder {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let kept = heads.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut head = Vec::new();
                let mut piece = [0; 4096];
                while !head.windows(4).any(|four| four == b"\r\n\r\n") {
                    match stream.read(&mut piece) {
                        Ok(read) if read > 0 => head.extend_from_slice(&piece[..read]),
                        _ => break,
                    }
                }
                // A body may come in the same piece.
                let end = head.windows(4).position(|four| four == b"\r\n\r\n");
                head.truncate(end.unwrap_or(head.len()));
                kept.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
                let _ = stream.write_all(
                    b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                );
                // Taking what still comes keeps the reset away that would hide the answer.
                std::thread::spawn(move || {
                    let _ = stream.shutdown(Shutdown::Write);
                    let _ = stream.read_to_end(&mut Vec::new());
                });
            }
        });
        Recorder { url, heads }
    }
}
