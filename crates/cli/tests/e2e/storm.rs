//! Hundreds of uploads at once: SIGKILL of the server in their midst loses nothing that was acknowledged, and its memory is bounded.
//!
//! Each upload is a thread that writes HTTP by hand, one connection per request, so that nothing is hidden behind a client that tries again.
//! Small by default; the size that is asked for: `ROUNDS=20 UPLOADS=200 LOAD=500 cargo test -p vodferry-cli --test e2e storm::`.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use vodferry_oss::etag::{etag_of_md5, md5, normalise};
use vodferry_oss::sign::{OptionsV4, sign_v4};
use vodferry_oss::xml::{
    CompleteMultipartUpload, CompletePart, InitiateMultipartUploadResult, ListPartsResult,
};
use vodferry_oss::{Credential, Method, Request, Response, Style, Target};

use crate::common::content::Chance;
use crate::common::{PATIENCE, Server, TestEnv, bytes};

const BUCKET: &str = "vod-media";
const MIB: usize = 1 << 20;

#[test]
fn kills_in_the_midst_of_many_uploads_lose_nothing_acknowledged() {
    let (rounds, uploads) = (from_env("ROUNDS", 3), from_env("UPLOADS", 24));
    let mut chance = Chance::from_env();
    let env = TestEnv::new();
    let mut server = env.serve(&[]);
    let mut all = BTreeMap::new();
    let (mut parts, mut objects, mut cut) = (0, 0, 0);
    for round in 0..rounds {
        let caller = Caller::of(&server);
        let ledger = Arc::new(Ledger::default());
        let seeds = (0..uploads).map(|_| chance.between(1, 1 << 40));
        let threads: Vec<_> = seeds
            .enumerate()
            .map(|(number, seed)| {
                let (caller, ledger) = (caller.clone(), ledger.clone());
                std::thread::spawn(move || storm(&caller, &ledger, round, number, seed))
            })
            .collect();
        // So many acknowledgements, then at any moment within those of as many more.
        let least = chance.between(uploads as u64, 4 * uploads as u64) as usize;
        wait(|| ledger.acknowledged.load(Ordering::Relaxed) >= least);
        // In one round at the least some object is there already.
        wait(|| round > 0 || ledger.begun.lock().unwrap().values().any(|one| one.completed));
        std::thread::sleep(Duration::from_millis(chance.between(0, 60)));
        server.kill();
        for thread in threads {
            thread.join().unwrap();
        }
        let data = server.data.to_str().unwrap().to_owned();
        let fsck = env.run(&["fsck", "--verify-hashes", "--data", &data]);
        assert_eq!(fsck.code, Some(0), "round {round}: {fsck:?}");

        server = env.serve(&[]);
        let caller = Caller::of(&server);
        let begun = std::mem::take(&mut *ledger.begun.lock().unwrap());
        for (key, voyage) in begun {
            parts += voyage.parts.len();
            cut += usize::from(!voyage.completed);
            if voyage.is_kept(&caller, &key) {
                objects += 1;
                all.insert(key, voyage);
            }
        }
    }
    let caller = Caller::of(&server);
    for (key, voyage) in &all {
        assert!(voyage.is_object(&caller, key), "{key} of an earlier round");
    }
    println!("{rounds} kills: {parts} parts acknowledged, {objects} objects, {cut} uploads cut");
    assert!(objects > 0 && cut > 0, "{objects} objects, {cut} cut: too few to prove anything");
}

#[cfg(target_os = "linux")]
#[test]
fn memory_is_bounded_under_many_uploads() {
    let uploads = from_env("LOAD", 40);
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let caller = Caller::of(&server);
    let began = Instant::now();
    let threads: Vec<_> = (0..uploads)
        .map(|number| {
            let caller = caller.clone();
            std::thread::spawn(move || -> io::Result<()> {
                let key = format!("load/{number}");
                let content = bytes(number as u64 + 1, 8 * MIB);
                let id = caller.initiate(&key)?;
                let mut parts = Vec::new();
                for (index, part) in content.chunks(MIB).enumerate() {
                    let part_number = index as u32 + 1;
                    let etag = caller.part(&key, &id, part_number, part)?;
                    parts.push(CompletePart { number: part_number, etag });
                }
                caller.complete(&key, &id, parts)
            })
        })
        .collect();
    for (number, thread) in threads.into_iter().enumerate() {
        thread.join().unwrap().unwrap_or_else(|error| panic!("upload {number}: {error}"));
    }
    let took = began.elapsed();
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: usize = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!(
        "{uploads} uploads of 8 MiB at once in {took:.1?}, at most {} MiB resident",
        peak / 1024
    );
    assert!(peak <= 512 * 1024, "{peak} KiB resident");
    for number in (0..uploads).step_by(uploads.div_ceil(10)) {
        let got = caller.get(&format!("load/{number}")).unwrap();
        assert_eq!(got.status, 200);
        assert!(got.body == bytes(number as u64 + 1, 8 * MIB), "upload {number} differs");
    }
}

/// What clients were told, or asked for.
#[derive(Default)]
struct Ledger {
    begun: Mutex<BTreeMap<String, Voyage>>,
    acknowledged: AtomicUsize,
}

/// One upload or one small object.
struct Voyage {
    seed: u64,
    length: usize,
    /// None for a PutObject.
    id: Option<String>,
    /// Acknowledged: number and ETag.
    parts: BTreeMap<u32, String>,
    /// Asked for, perhaps done.
    completing: bool,
    /// Acknowledged.
    completed: bool,
}

/// The least that a part but the last may have.
const PART: usize = 102_400;

impl Voyage {
    /// Whether it became an object. Whatever was acknowledged must be there.
    fn is_kept(&self, caller: &Caller, key: &str) -> bool {
        if self.is_object(caller, key) {
            assert!(self.completing, "{key} is an object, and nobody asked for it");
            return true;
        }
        assert!(!self.completed, "{key} was acknowledged and is lost");
        if let Some(id) = &self.id {
            let stored = caller.list(key, id);
            for (number, etag) in &self.parts {
                let length = self.part(*number).len() as u64;
                let kept = stored.parts.iter().find(|part| part.number == *number);
                let kept = kept.map(|part| (normalise(&part.etag), part.size));
                assert_eq!(kept, Some((etag.clone(), length)), "part {number} of {key}");
            }
        }
        false
    }

    fn is_object(&self, caller: &Caller, key: &str) -> bool {
        let got = caller.get(key).unwrap();
        if got.status == 404 {
            return false;
        }
        assert_eq!(got.status, 200, "{key}");
        assert!(got.body == bytes(self.seed, self.length), "{key} has other bytes");
        true
    }

    fn part(&self, number: u32) -> Vec<u8> {
        let content = bytes(self.seed, self.length);
        content.chunks(PART).nth(number as usize - 1).unwrap().to_vec()
    }
}

/// Uploads, one after the other, until the server is gone.
fn storm(caller: &Caller, ledger: &Ledger, round: usize, number: usize, seed: u64) {
    for turn in 0_u64.. {
        let key = format!("storm/{round}/{number}/{turn}");
        let small = turn % 4 == 3;
        let length = if small { 5_000 } else { PART * 3 + 4321 };
        let seed = seed + turn;
        let voyage = Voyage {
            seed,
            length,
            id: None,
            parts: BTreeMap::new(),
            completing: small,
            completed: false,
        };
        ledger.begun.lock().unwrap().insert(key.clone(), voyage);
        let note = |change: &dyn Fn(&mut Voyage)| {
            change(ledger.begun.lock().unwrap().get_mut(&key).unwrap());
        };
        let content = bytes(seed, length);
        let sent = || -> io::Result<()> {
            if small {
                caller.done(caller.put(&key, &content)?)?;
            } else {
                let id = caller.initiate(&key)?;
                note(&|voyage| voyage.id = Some(id.clone()));
                let mut parts = Vec::new();
                for (index, part) in content.chunks(PART).enumerate() {
                    let part_number = index as u32 + 1;
                    let etag = caller.part(&key, &id, part_number, part)?;
                    note(&|voyage| {
                        voyage.parts.insert(part_number, etag.clone());
                    });
                    ledger.acknowledged.fetch_add(1, Ordering::Relaxed);
                    parts.push(CompletePart { number: part_number, etag });
                }
                note(&|voyage| voyage.completing = true);
                caller.complete(&key, &id, parts)?;
            }
            note(&|voyage| voyage.completed = true);
            ledger.acknowledged.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        match sent() {
            Ok(()) => {}
            // The end of the server is the end of the storm; a refusal never comes.
            Err(error) => {
                assert!(error.kind() != io::ErrorKind::InvalidData, "{key}: {error}");
                return;
            }
        }
    }
}

/// Speaks to one server with the operator's key.
#[derive(Clone)]
struct Caller {
    url: String,
    credential: Credential,
}

impl Caller {
    fn of(server: &Server) -> Caller {
        let keys = vodferry_server::keys::Keys::load(&server.keys_file()).unwrap();
        let key = keys.root().unwrap();
        let credential = Credential {
            access_key_id: key.id.clone(),
            access_key_secret: key.secret.clone(),
            security_token: None,
        };
        Caller { url: server.url.clone(), credential }
    }

    fn initiate(&self, key: &str) -> io::Result<String> {
        let begun = self.done(self.ask(Method::Post, key, &[("uploads", "")], b"")?)?;
        Ok(InitiateMultipartUploadResult::decode(&begun.body).unwrap().upload_id)
    }

    /// Its ETag.
    fn part(&self, key: &str, id: &str, number: u32, part: &[u8]) -> io::Result<String> {
        let number = number.to_string();
        let query = [("partNumber", number.as_str()), ("uploadId", id)];
        let sent = self.done(self.ask(Method::Put, key, &query, part)?)?;
        let etag = sent.etag().map(normalise);
        assert_eq!(etag, Some(etag_of_md5(&md5(part))));
        Ok(etag.unwrap())
    }

    fn complete(&self, key: &str, id: &str, parts: Vec<CompletePart>) -> io::Result<()> {
        let list = CompleteMultipartUpload { parts }.encode();
        self.done(self.ask(Method::Post, key, &[("uploadId", id)], list.as_bytes())?).map(|_| ())
    }

    fn put(&self, key: &str, content: &[u8]) -> io::Result<Response> {
        self.ask(Method::Put, key, &[], content)
    }

    fn get(&self, key: &str) -> io::Result<Response> {
        self.ask(Method::Get, key, &[], b"")
    }

    fn list(&self, key: &str, id: &str) -> ListPartsResult {
        let listed = self.done(self.ask(Method::Get, key, &[("uploadId", id)], b"").unwrap());
        ListPartsResult::decode(&listed.unwrap().body).unwrap()
    }

    /// A refusal is an error of the kind `InvalidData`, which no broken connection is.
    fn done(&self, reply: Response) -> io::Result<Response> {
        match reply.status {
            200 => Ok(reply),
            status => {
                let told = String::from_utf8_lossy(&reply.body);
                Err(io::Error::new(io::ErrorKind::InvalidData, format!("{status} {told}")))
            }
        }
    }

    fn ask(
        &self,
        method: Method,
        key: &str,
        query: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Response> {
        let target =
            Target { endpoint: self.url.clone(), bucket: BUCKET.into(), key: key.to_owned() };
        let mut request = Request::to(method, &target, Style::Path).unwrap();
        request.query = query.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        let options = OptionsV4 { region: "cn-shanghai", additional_headers: &[] };
        sign_v4(&mut request, BUCKET, key, &self.credential, options, now);
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n",
            method.as_str(),
            request.target(),
            request.authority,
            body.len()
        );
        for (name, value) in &request.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut stream = TcpStream::connect(&request.authority)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        read_reply(&bytes).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// `None` when it is not whole.
fn read_reply(bytes: &[u8]) -> Option<Response> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let response = Response { status, headers, body: bytes[end + 4..].to_vec() };
    let whole = response.content_length() == Some(response.body.len() as u64);
    whole.then_some(response)
}

fn wait(mut what: impl FnMut() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < PATIENCE, "nothing goes on");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn from_env(name: &str, default: usize) -> usize {
    let number = std::env::var(name).ok().map(|text| text.parse::<usize>());
    number.map_or(default, |number| number.unwrap_or_else(|_| panic!("{name} is no number")))
}
