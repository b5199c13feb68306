//! The real server, and what a test needs around it.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use vodferry::{
    AddressStyle, AppServer, Body, Checkpoints, Credential, Http, Method, Options, Proxy, Request,
    Target, Uploader, http_client,
};
use vodferry_server::keys::{KEYS_FILE, Keys};
use vodferry_server::{Config, Running, serve};

pub(crate) struct Harbour {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) server: Running,
    pub(crate) operator: Credential,
    pub(crate) app: AppServer,
}

impl Harbour {
    pub(crate) async fn open() -> Harbour {
        Harbour::with(|_| ()).await
    }

    /// One that differs.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Harbour {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path(), "127.0.0.1:0".parse().unwrap());
        change(&mut config);
        let server = serve(config).await.unwrap();
        let keys = Keys::load(&dir.path().join("data").join(KEYS_FILE)).unwrap();
        let root = keys.root().unwrap();
        let operator = Credential {
            access_key_id: root.id.clone(),
            access_key_secret: root.secret.clone(),
            security_token: None,
        };
        let app = AppServer::new(server.endpoint()).unwrap().bearer(keys.app_server_token.clone());
        Harbour { dir, server, operator, app: app.http(http()) }
    }

    pub(crate) fn write(&self, name: &str, length: usize) -> (std::path::PathBuf, Vec<u8>) {
        let bytes: Vec<u8> = (0..length).map(|i| (i * 31 + i / 251 + i / 65_521) as u8).collect();
        let path = self.dir.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        (path, bytes)
    }

    pub(crate) fn options(&self) -> Options {
        let mut options = Options::default();
        options.record_dir = Some(self.dir.path().join("records"));
        options.proxy = Proxy::Direct;
        options
    }

    pub(crate) fn uploader(&self, options: Options) -> Uploader {
        Uploader::builder().options(options).authorizer(self.app.clone()).build().unwrap()
    }

    /// What stands in storage, asked for piece by piece: replies of this port are small.
    pub(crate) async fn fetch(&self, target: &Target, length: usize) -> Vec<u8> {
        let to = vodferry_oss::Target {
            endpoint: target.endpoint.clone(),
            bucket: target.bucket.clone(),
            key: target.key.clone(),
        };
        let http = http();
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let last = (bytes.len() + 500_000).min(length) - 1;
            let mut get = Request::to(Method::Get, &to, AddressStyle::Auto).unwrap();
            get.set_header("range", format!("bytes={}-{last}", bytes.len()));
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
            vodferry_oss::sign::sign_v1(&mut get, &to.bucket, &to.key, &self.operator, now);
            let piece = http.send(get, Body::from_bytes("")).await.unwrap();
            assert_eq!(piece.status, 206, "{}", String::from_utf8_lossy(&piece.body));
            bytes.extend_from_slice(&piece.body);
        }
        bytes
    }

    pub(crate) fn journals(&self) -> usize {
        Checkpoints::open(self.dir.path().join("records")).list().unwrap().len()
    }
}

pub(crate) fn config(dir: &Path, listen: std::net::SocketAddr) -> Config {
    Config { listen, data: dir.join("data"), durable: false, ..Config::default() }
}

pub(crate) fn http() -> std::sync::Arc<dyn Http> {
    let mut options = Options::default();
    options.proxy = Proxy::Direct;
    http_client(&options).unwrap()
}
