//! Credentials that live for a fraction of the upload. `EXPIRY_LIFE` (5) is their life and `EXPIRY_SECONDS` (14) how long the upload is
//! made to take by a bandwidth limit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use vodferry::{
    Body, BoxFuture, Event, File, Http, Method, Request, Response, TransportError, UploadGrant,
    Uploader,
};
use vodferry_server::keys::{KEYS_FILE, Keys};

use crate::harbour::{Harbour, http};
use crate::script::PART;

fn seconds(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// One request, and how it ended.
#[derive(Clone, Debug)]
struct Sent {
    /// `None`: it is about the upload.
    part: Option<u32>,
    token: String,
    /// Places in the order of all beginnings and ends.
    begun: usize,
    ended: Option<(usize, u16)>,
}

/// Writes down what passes.
struct Logged {
    http: Arc<dyn Http>,
    log: Arc<Mutex<(usize, Vec<Sent>)>>,
}

impl Http for Logged {
    fn send(
        &self,
        request: Request,
        body: Body,
    ) -> BoxFuture<'static, Result<Response, TransportError>> {
        let number = request.query.iter().find(|(name, _)| name == "partNumber");
        let part =
            number.filter(|_| request.method == Method::Put).map(|(_, n)| n.parse().unwrap());
        let token = request.header("x-oss-security-token").unwrap_or_default().to_owned();
        let sent = self.http.send(request, body);
        let log = self.log.clone();
        let at = {
            let mut log = log.lock().unwrap();
            let begun = log.0;
            log.0 += 1;
            log.1.push(Sent { part, token, begun, ended: None });
            log.1.len() - 1
        };
        Box::pin(async move {
            let reply = sent.await;
            let mut log = log.lock().unwrap();
            let place = log.0;
            log.0 += 1;
            log.1[at].ended = Some((place, reply.as_ref().map_or(0, |reply| reply.status)));
            reply
        })
    }
}

struct Voyage {
    harbour: Harbour,
    uploader: vodferry::UploaderBuilder,
    file: std::path::PathBuf,
    log: Arc<Mutex<(usize, Vec<Sent>)>>,
}

async fn voyage() -> Voyage {
    let life = std::time::Duration::from_secs(seconds("EXPIRY_LIFE", 5));
    let harbour = Harbour::with(|config| config.credential_life = life).await;
    let length = 40 * PART;
    let (file, _) = harbour.write("long.mp4", length as usize);
    let mut options = harbour.options();
    (options.part_size, options.parallel) = (PART, 3);
    options.limit = length / seconds("EXPIRY_SECONDS", 14);
    let log = Arc::new(Mutex::default());
    let logged = Logged { http: http(), log: Arc::clone(&log) };
    let uploader = Uploader::builder().options(options).http(Arc::new(logged));
    Voyage { harbour, uploader, file, log }
}

/// What every such upload keeps to; gives how many credentials were refused.
fn check(log: &Mutex<(usize, Vec<Sent>)>) -> usize {
    let sent = log.lock().unwrap().1.clone();
    let mut refused: HashMap<&str, usize> = HashMap::new();
    for Sent { token, ended, .. } in &sent {
        if let Some((place, 403)) = ended {
            let first = refused.entry(token).or_insert(*place);
            *first = (*first).min(*place);
        }
    }
    for request in &sent {
        if let Some(first) = refused.get(request.token.as_str()) {
            assert!(request.begun < *first, "sent with a dead credential: {request:?}");
        }
    }
    let ended = |part: u32, status: u16| {
        let of =
            |one: &&Sent| one.part == Some(part) && one.ended.is_some_and(|(_, got)| got == status);
        sent.iter().filter(of).count()
    };
    for part in 1..=40 {
        assert_eq!(ended(part, 200), 1, "part {part} is acknowledged once");
        let tries = sent.iter().filter(|one| one.part == Some(part)).count();
        assert_eq!(
            tries,
            1 + ended(part, 403),
            "part {part}: each refusal is followed by one more"
        );
    }
    refused.len()
}

#[tokio::test]
async fn with_an_authorizer_nobody_notices() {
    let Voyage { harbour, uploader, file, log } = voyage().await;
    let uploader = uploader.authorizer(harbour.app.clone()).build().unwrap();
    let mut events = uploader.events();
    uploader.add(file).unwrap();
    uploader.start();
    loop {
        match events.next().await.unwrap() {
            Event::Succeeded { object, .. } => break assert!(object.verified),
            Event::Failed { error, .. } => panic!("{error:?}"),
            Event::TokenExpired { .. } => panic!("an expiry was told"),
            _ => {}
        }
    }
    assert_eq!(check(&log), 0, "each was replaced before its end");
    let tokens: std::collections::HashSet<String> =
        log.lock().unwrap().1.iter().map(|sent| sent.token.clone()).collect();
    assert!(tokens.len() > 2, "{} credentials", tokens.len());
    harbour.server.shutdown().await;
}

/// As the application server hands it out. It does not say when it ends, so that the server has to.
async fn grant(harbour: &Harbour, video: Option<&str>) -> UploadGrant {
    let (verb, body) = match video {
        None => ("create", serde_json::json!({"Title": "t", "FileName": "a.mp4", "FileSize": 9})),
        Some(id) => ("refresh", serde_json::json!({ "VideoId": id })),
    };
    let keys = Keys::load(&harbour.dir.path().join("data").join(KEYS_FILE)).unwrap();
    let authority = harbour.server.endpoint().trim_start_matches("http://").to_owned();
    let token = keys.app_server_token.expose();
    let request = Request {
        method: Method::Post,
        scheme: "http".into(),
        authority,
        path: format!("/api/upload-auth/{verb}"),
        query: Vec::new(),
        headers: vec![
            ("content-type".into(), "application/json".into()),
            ("authorization".into(), format!("Bearer {token}")),
        ],
        body: Vec::new(),
    };
    let reply = http().send(request, Body::from_bytes(body.to_string())).await.unwrap();
    let reply: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    let text = |name: &str| reply[name].as_str().expect(name).to_owned();
    let grant = UploadGrant::from_upload_auth(&text("UploadAddress"), &text("UploadAuth")).unwrap();
    UploadGrant { expires_at_ms: None, ..grant.video_id(text("VideoId")) }
}

#[tokio::test]
async fn without_one_each_expiry_is_told_once() {
    let Voyage { harbour, uploader, file, log } = voyage().await;
    let uploader = uploader.build().unwrap();
    let mut events = uploader.events();
    let id = uploader.add(File::path(file)).unwrap();
    uploader.start();
    let mut expiries = 0;
    loop {
        match events.next().await.unwrap() {
            Event::Started { .. } => {
                uploader.authorize(id, grant(&harbour, None).await).unwrap();
            }
            Event::TokenExpired { video_id, .. } => {
                expiries += 1;
                let next = grant(&harbour, video_id.as_deref()).await;
                uploader.authorize(id, next).unwrap();
            }
            Event::Succeeded { object, .. } => break assert!(object.verified),
            Event::Failed { error, .. } => panic!("{error:?}"),
            _ => {}
        }
    }
    let refused = check(&log);
    assert!(expiries >= 2 && refused == expiries, "{expiries} told, {refused} refused");
    harbour.server.shutdown().await;
}
