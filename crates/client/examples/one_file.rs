//! Uploads one file: `cargo run -p vodferry --example one_file -- FILE [http://127.0.0.1:9000]`.

use vodferry::AppServer;

#[tokio::main]
async fn main() -> Result<(), vodferry::Error> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().unwrap_or_else(|| "holiday.mp4".into());
    let server = arguments.next().unwrap_or_else(|| "http://127.0.0.1:9000".into());
    let done = vodferry::upload(file, AppServer::new(server)?).await?;
    println!("video {} is at {}", done.video_id.unwrap_or_default(), done.target.key);
    Ok(())
}
