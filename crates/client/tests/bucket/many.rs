//! Many small files through one uploader, by one credential. How fast, and in how much memory, is measured by `bench/small.py`.

use std::collections::BTreeSet;

use vodferry::{File, FileState, ListObjects, Listed};

use crate::harbour::Harbour;
use crate::of;

const FILES: usize = 600;

#[tokio::test]
async fn many_small_files_arrive_each_under_its_key() {
    let harbour = Harbour::open().await;
    let bucket = of(&harbour);
    let mut options = harbour.options();
    options.files_at_once = 16;
    let uploader = vodferry::Uploader::builder().options(options).build().unwrap();
    let mut wanted = BTreeSet::new();
    for n in 0..FILES {
        let bytes = n.to_le_bytes().repeat(512);
        let key = format!("small/{n:05}.jpg");
        let md5 = vodferry_oss::etag::etag_of_md5(&vodferry_oss::etag::md5(&bytes));
        wanted.insert((key.clone(), 4096, md5));
        let path = harbour.dir.path().join(format!("{n:05}.jpg"));
        std::fs::write(&path, bytes).unwrap();
        let place = bucket.target(key);
        uploader.add(File::path(path).to(place, harbour.operator.clone())).unwrap();
    }
    uploader.start();
    let files = uploader.wait().await;
    let failed = files.iter().find(|file| file.state != FileState::Succeeded);
    assert!(failed.is_none(), "{failed:?}");
    uploader.close().await;
    let listed = bucket.list_objects(ListObjects::prefix("small/")).all().await.unwrap();
    let found = listed.into_iter().map(|entry| match entry {
        Listed::Object(object) => (object.key, object.size, object.etag),
        other => panic!("{other:?}"),
    });
    assert_eq!(found.collect::<BTreeSet<_>>(), wanted);
    assert_eq!(harbour.journals(), 0);
    harbour.server.shutdown().await;
}
