//! Uploads all files of a folder through one uploader, by one access key from the environment: `small URL BUCKET FOLDER FILES_AT_ONCE`.

use std::error::Error;
use std::path::Path;

use vodferry::{Credential, File, FileState, Options, Secret, Target, Uploader};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [endpoint, bucket, folder, at_once]: [String; 4] = std::env::args()
        .skip(1)
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| "usage: small URL BUCKET FOLDER FILES_AT_ONCE")?;
    let credential = Credential {
        access_key_id: std::env::var("VODFERRY_ACCESS_KEY_ID")?,
        access_key_secret: Secret::new(std::env::var("VODFERRY_ACCESS_KEY_SECRET")?),
        security_token: None,
    };
    let mut options = Options::default();
    (options.files_at_once, options.record_dir) = (at_once.parse()?, None);
    let uploader = Uploader::builder().options(options).build()?;
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(&folder)? {
        paths.push(entry?.path());
    }
    paths.sort();
    for path in paths {
        let key = format!("ours/{}", name_of(&path));
        let (endpoint, bucket) = (endpoint.clone(), bucket.clone());
        let target = Target { endpoint, bucket, key };
        uploader.add(File::path(path).to(target, credential.clone()))?;
    }
    uploader.start();
    let files = uploader.wait().await;
    match files.into_iter().find(|file| file.state != FileState::Succeeded) {
        None => Ok(()),
        Some(file) => Err(format!("{}: {:?}", file.name, file.error).into()),
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
