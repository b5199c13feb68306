//! What the server tells whoever watches over it.

use rusqlite::Connection;
use vodferry_oss::{Method, Response};

use crate::support::{Server, exchange};

async fn ask(server: &Server, what: &str) -> Response {
    let head = format!("GET /health/{what} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let live = exchange(server.addr(), Method::Get, head.as_bytes()).await;
    assert_eq!(live.header("content-type"), Some("application/json"));
    live
}

async fn is_unready(server: &Server, reason: &str) {
    let response = ask(server, "ready").await;
    let body = String::from_utf8(response.body).unwrap();
    assert_eq!((response.status, body), (503, format!("{{\"Status\":\"{reason}\"}}")));
    assert_eq!(ask(server, "live").await.status, 200);
}

#[tokio::test]
async fn too_little_free_space_is_not_ready() {
    let server = Server::with(|config| config.free_space = u64::MAX).await;
    is_unready(&server, "the disk has too little free space").await;
    assert_eq!(server.put("k", b"x").await.status, 200, "uploads are taken as long as they fit");
    for enough in [0, 1] {
        let server = Server::with(|config| config.free_space = enough).await;
        assert_eq!(ask(&server, "ready").await.status, 200, "{enough}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_cannot_be_written_is_not_ready() {
    let server = Server::start().await;
    assert_eq!(ask(&server, "ready").await.status, 200);
    // The answer is good for a second.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let other = Connection::open(server.folder.path().join("meta.sqlite")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    is_unready(&server, "the database does not answer in time").await;
    other.execute_batch("ROLLBACK").unwrap();
    for _ in 0..200 {
        if ask(&server, "ready").await.status == 200 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("never ready again");
}

#[tokio::test]
async fn a_folder_that_is_gone_is_not_ready() {
    let server = Server::start().await;
    std::fs::remove_file(server.folder.path().join("meta.sqlite")).unwrap();
    is_unready(&server, "the data folder is gone").await;
}
