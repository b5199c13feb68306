//! What flags say of a video arrives where it is meant for, each under its own name.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use crate::common::{PATIENCE, Ran, TestEnv, app_server};

const FLAGS: [&str; 20] = [
    "--cover-url",
    "https://img.example.com/c.png",
    "--template-group",
    "tg-1",
    "--workflow",
    "wf-2",
    "--storage-location",
    "vod-media",
    "--app-id",
    "app-3",
    "--user-data",
    "{\"k\":\"v\"}",
    "--title",
    "The sea",
    "--tags",
    "sea,summer",
    "--description",
    "waves & wind",
    "--category",
    "12",
];

/// Refuses everything, and keeps what was asked.
struct Ears {
    url: String,
    heard: Receiver<String>,
}

impl Ears {
    fn open() -> Ears {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (tell, heard) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let Some(request) = request(&mut stream) else { continue };
                let _ = tell.send(request);
                let body = br#"{"RequestId":"R","Code":"Forbidden.Test","Message":"no"}"#;
                let head =
                    "HTTP/1.1 403 No\r\nContent-Type: application/json\r\nConnection: close\r\n";
                let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n", body.len());
                let _ = stream.write_all(body);
            }
        });
        Ears { url, heard }
    }

    fn first(&self) -> String {
        self.heard.recv_timeout(PATIENCE).expect("a request")
    }
}

/// A whole one; `None` where somebody only connects.
fn request(stream: &mut TcpStream) -> Option<String> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut piece).ok()? {
            0 => return None,
            read => bytes.extend_from_slice(piece.get(..read)?),
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        if body.len() >= length.unwrap_or(0_usize) {
            return Some(text);
        }
    }
}

#[test]
fn an_application_server_is_told_each_by_its_name() {
    let env = TestEnv::new();
    env.file("a.mp4", 120_000);
    let ears = Ears::open();
    let upload = ["upload", "a.mp4", "--process", "false", "--server", &ears.url];
    env.run(&[&upload[..], &FLAGS].concat()).fails(3, "Forbidden.Test");
    let heard = ears.first();
    assert!(heard.starts_with("POST /api/upload-auth/create "), "{heard}");
    let mut body: Value = serde_json::from_str(heard.split_once("\r\n\r\n").unwrap().1).unwrap();
    // Text or a number, both are taken.
    for name in ["FileSize", "CateId"] {
        let text = body[name].as_str().map(str::to_owned);
        body[name] = text.map_or(body[name].clone(), |text| json!(text.parse::<u64>().unwrap()));
    }
    let expected = json!({
        "FileName": "a.mp4", "FileSize": 120_000, "Title": "The sea", "Description": "waves & wind",
        "Tags": "sea,summer", "CateId": 12, "CoverURL": "https://img.example.com/c.png",
        "TemplateGroupId": "tg-1", "WorkflowId": "wf-2", "StorageLocation": "vod-media", "AppId": "app-3",
        "UserData": "{\"k\":\"v\"}",
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&body[name], value, "{name} in {body}");
    }
    assert_eq!(body["TransCodeMode"], Value::Null, "the template group decides");
}

#[test]
fn the_vod_api_is_told_each_by_its_name_and_signed_as_wished() {
    let env = TestEnv::new();
    env.file("a.mp4", 120_000);
    let ears = Ears::open();
    let asked = |more: &[&str]| {
        let upload = ["upload", "a.mp4", "--vod", &ears.url];
        let mut command = env.command(&[&upload[..], more, &FLAGS].concat());
        command.env("VODFERRY_ACCESS_KEY_ID", "a").env("VODFERRY_ACCESS_KEY_SECRET", "s");
        Ran::of(&mut command).fails(3, "Forbidden.Test");
        ears.first()
    };
    let (first, acs3) = (asked(&[]), asked(&["--vod-signature", "acs3"]));
    for heard in [&first, &acs3] {
        for parameter in [
            "FileName=a.mp4",
            "FileSize=120000",
            "Title=The%20sea",
            "Description=waves%20%26%20wind",
            "Tags=sea%2Csummer",
            "CateId=12",
            "CoverURL=https%3A%2F%2Fimg.example.com%2Fc.png",
            "TemplateGroupId=tg-1",
            "WorkflowId=wf-2",
            "StorageLocation=vod-media",
            "AppId=app-3",
            "UserData=%7B%22k%22%3A%22v%22%7D",
        ] {
            assert!(heard.contains(parameter), "no {parameter} in {heard}");
        }
    }
    assert!(first.contains("SignatureMethod=HMAC-SHA1"), "{first}");
    assert!(acs3.contains("ACS3-HMAC-SHA256") && !acs3.contains("HMAC-SHA1"), "{acs3}");
}

#[test]
fn a_server_keeps_what_is_said_and_takes_both_signatures() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("a.mp4", 120_000);
    for signature in ["v1", "acs3"] {
        let vod = ["upload", "--json", "a.mp4", "--vod", &server.url, "--vod-signature", signature];
        let mut command = env.command(&[&vod[..], &FLAGS].concat());
        let done = Ran::of(command.arg("--keys-file").arg(server.keys_file())).ok();
        let video = done.event("succeeded").text("video_id").to_owned();
        let known = app_server(&server, "refresh", &json!({ "VideoId": video }));
        assert_eq!(known["VideoId"], Value::from(video));
    }
    // A bucket that is not there shows that the location is heard.
    let upload = ["upload", "a.mp4", "--server", &server.url, "--storage-location", "elsewhere"];
    env.run(&upload).fails(9, "InvalidStorage.NotFound");
}

#[test]
fn what_is_said_of_processing_travels_with_the_object() {
    use base64::Engine;
    let base64 = base64::engine::general_purpose::STANDARD;
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("a.mp4", 1_000);
    let (_, auth) = crate::common::upload_auth(&server, "a.mp4");
    let ears = Ears::open();
    let place = json!({"Endpoint": ears.url, "Bucket": "films", "FileName": "sv/a.mp4"});
    let address = base64.encode(place.to_string());
    let said = ["--priority", "7", "--watermark", "false", "--process", "true"];
    let upload = ["upload", "a.mp4", "--retry-count", "1", "--address", &address, "--auth", &auth];
    assert_ne!(env.run(&[&upload[..], &said].concat()).code, Some(0));
    let heard = ears.first();
    let header = heard.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("x-oss-notification").then(|| value.trim())
    });
    let told = base64.decode(header.unwrap_or_else(|| panic!("{heard}"))).unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    let vod = told.get("Vod").unwrap_or(&told);
    let data = &vod["UserData"];
    let data = data.as_str().map_or(data.clone(), |text| serde_json::from_str(text).unwrap());
    assert_eq!(vod["IsProcess"], "true", "{told}");
    assert_eq!((&data["IsShowWaterMark"], &data["Priority"]), (&json!("false"), &json!("7")));
}
