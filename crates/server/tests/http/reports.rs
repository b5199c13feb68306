//! Reports of uploaders: taken from those who may ask the application server, kept within bounds, answered to them.

use serde_json::{Value, json};
use vodferry_oss::{Method, Response};

use crate::support::{Server, exchange, text};

const PATH: &str = "/api/upload-reports";

async fn send(server: &Server, method: Method, path: &str, lines: &str, body: &str) -> Response {
    let head = format!(
        "{} {path} HTTP/1.1\r\nHost: {}\r\n{lines}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        method.as_str(),
        server.addr(),
        body.len()
    );
    exchange(server.addr(), method, head.as_bytes()).await
}

async fn post(server: &Server, reports: &[Value]) -> Response {
    let body = json!({ "Reports": reports }).to_string();
    send(server, Method::Post, PATH, "Content-Type: application/json\r\n", &body).await
}

async fn list(server: &Server, query: &str) -> Vec<Value> {
    let response = send(server, Method::Get, &format!("{PATH}{query}"), "", "").await;
    assert_eq!(response.status, 200, "{}", text(&response));
    let reply: Value = serde_json::from_slice(&response.body).unwrap();
    reply["Reports"].as_array().unwrap().clone()
}

fn part(video: &str, number: u32) -> Value {
    json!({ "Event": "Part", "VideoId": video, "Attempt": format!("a-{video}"), "PartNumber": number })
}

#[tokio::test]
async fn reports_are_kept_and_found_by_video_attempt_and_number() {
    let server = Server::start().await;
    let first = [part("v1", 1), part("v2", 1), part("v1", 2)];
    let response = post(&server, &first).await;
    assert_eq!(response.status, 200, "{}", text(&response));
    let reply: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(reply["Taken"], 3);
    let failed = json!({ "Event": "Failed", "Code": "AccessDenied", "Message": "m", "Time": "2026-11-20T10:00:00.000Z" });
    post(&server, &[failed]).await;

    let all = list(&server, "").await;
    assert_eq!(all.len(), 4);
    assert_eq!((&all[0]["Event"], &all[0]["Code"]), (&json!("Failed"), &json!("AccessDenied")));
    assert!(all[0]["Received"].as_str().unwrap().ends_with('Z'));
    let of_v1 = list(&server, "?VideoId=v1").await;
    let numbers: Vec<&Value> = of_v1.iter().map(|report| &report["PartNumber"]).collect();
    assert_eq!(numbers, [&json!(2), &json!(1)]);
    assert_eq!(list(&server, "?Attempt=a-v2&Limit=1").await.len(), 1);
    let older = format!("?VideoId=v1&Before={}", of_v1[0]["Number"]);
    assert_eq!(list(&server, &older).await.len(), 1);
    assert!(list(&server, "?VideoId=nobody").await.is_empty());
}

#[tokio::test]
async fn what_is_wrong_is_refused_whole() {
    let server = Server::start().await;
    let response = post(&server, &[part("v1", 1), json!({ "Event": "Exploded" })]).await;
    assert_eq!(response.status, 400);
    assert!(text(&response).contains("report 1: Event"), "{}", text(&response));
    assert!(list(&server, "").await.is_empty(), "a batch is taken whole or not at all");
    for (method, path, lines, body, status) in [
        (Method::Put, PATH, "", "", 405),
        (Method::Get, "/api/upload-reports?Limit=x", "", "", 400),
        (Method::Post, PATH, "", "{}", 415),
        (Method::Post, PATH, "Content-Type: application/json\r\n", "{", 400),
        (Method::Get, PATH, "Authorization: Bearer wrong\r\n", "", 401),
        (Method::Get, PATH, "X-Forwarded-For: 203.0.113.7\r\n", "", 401),
        (Method::Get, PATH, "Origin: http://evil.example\r\n", "", 401),
    ] {
        let response = send(&server, method, path, lines, body).await;
        assert_eq!(response.status, status, "{path} {lines}{}", text(&response));
    }
}
