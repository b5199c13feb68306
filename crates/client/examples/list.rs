//! Uploads a list of files and tells how far it is: `cargo run -p vodferry --example list -- http://127.0.0.1:9000 FILE…`.

use vodferry::{AppServer, Error, Event, File, Uploader};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().unwrap_or_else(|| "http://127.0.0.1:9000".into());
    let app = AppServer::new(server)?;
    let uploader = Uploader::builder().authorizer(app).parallel(5).build()?;
    let mut events = uploader.events();
    for path in arguments {
        uploader.add(File::path(path))?;
    }
    uploader.start();
    while let Some(event) = events.next().await {
        match event {
            Event::Progress { file, acknowledged, total, .. } => {
                let total = total.map_or("?".to_owned(), |total| total.to_string());
                println!("{}: {acknowledged} of {total} bytes", file.0);
            }
            Event::Resumed { file, parts, .. } => println!("{}: {parts} parts are there", file.0),
            Event::Failed { file, error } => println!("{}: {}", file.0, Error::from(error)),
            Event::Succeeded { file, video_id, .. } => {
                println!("{}: video {}", file.0, video_id.unwrap_or_default());
            }
            Event::Ended { .. } => break,
            _ => {}
        }
    }
    uploader.close().await;
    Ok(())
}
