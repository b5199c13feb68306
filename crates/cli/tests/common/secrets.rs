//! Every secret that a test's processes hold, to be looked for where none may be.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::Server;
use super::observer::Observer;

/// Secrets and tokens, each as it would stand in a text.
#[derive(Default)]
pub struct Secrets {
    known: Vec<String>,
}

impl Secrets {
    /// Those of the server's keys file.
    pub fn of(server: &Server) -> Secrets {
        let mut secrets = Secrets::default();
        let keys = fs::read_to_string(server.keys_file()).unwrap();
        for line in keys.lines() {
            let secret = ["app_server_token = ", "secret = ", "key = "];
            if let Some(value) = secret.iter().find_map(|name| line.strip_prefix(name)) {
                secrets.known.push(value.trim_matches('"').to_owned());
            }
        }
        assert!(secrets.known.len() >= 3, "{keys}");
        secrets
    }

    /// Those inside of an upload auth, and the upload auth itself.
    pub fn with_auth(mut self, auth: &str) -> Secrets {
        let inside: Value = serde_json::from_slice(&decode(auth)).unwrap();
        for name in ["AccessKeySecret", "SecurityToken"] {
            self.known.push(inside[name].as_str().unwrap().to_owned());
        }
        self.known.push(auth.to_owned());
        self
    }

    /// Those that the application server handed out through the observer.
    pub fn with_seen(mut self, observer: &Observer) -> Secrets {
        for exchange in observer.exchanges() {
            if exchange.path.starts_with("/api/upload-auth/") && exchange.is_ok() {
                let Ok(reply) = serde_json::from_slice::<Value>(&exchange.reply) else { continue };
                self = self.with_auth(reply["UploadAuth"].as_str().unwrap());
            }
        }
        self
    }

    /// Panics when `text` holds one of them.
    pub fn are_not_in(&self, place: &str, text: &[u8]) {
        for secret in &self.known {
            let found = text.windows(secret.len()).position(|piece| piece == secret.as_bytes());
            let around = found.map(|at| &text[at.saturating_sub(60)..at]);
            let around = around.map(String::from_utf8_lossy);
            assert!(found.is_none(), "{place} holds a secret, behind {around:?}");
        }
    }

    /// Panics when a file of the folder holds one of them; the server's keys file may.
    pub fn are_not_in_files_of(&self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && !path.ends_with("keys.toml") {
                self.are_not_in(&path.display().to_string(), &fs::read(&path).unwrap());
            }
        }
    }
}

/// Base64 as OpenAPI replies have it.
pub fn decode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut word, mut bits) = (0u32, 0);
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            other => panic!("not base64: {other}"),
        };
        word = word << 6 | u32::from(six);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((word >> bits) as u8);
        }
    }
    bytes
}

/// The inverse of [`decode`].
pub fn encode(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte));
        let word = word << (8 * (3 - three.len()));
        for place in 0..4 {
            let six = (word >> (18 - 6 * place)) & 63;
            text.push(if place <= three.len() { char::from(ALPHABET[six as usize]) } else { '=' });
        }
    }
    text
}
