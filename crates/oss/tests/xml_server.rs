//! The XML bodies that a server writes or reads: byte for byte, and in the spellings of the field.

use vodferry_oss::xml::{
    BucketInfo, BucketStat, CorsConfiguration, CorsRule, CreateBucketConfiguration, Delete,
    DeletedObject, LifecycleConfiguration, LifecycleRule, ListAllMyBucketsResult, ListBucketResult,
    ListedBucket, ListedObject, Owner, Paging, RulesError, Tagging, Term, XmlError,
    access_control_policy, copy_object_result, copy_part_result, delete_result,
    location_constraint, normalised, post_response,
};

const T: i64 = 1_795_168_800_123;
const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

fn written(xml: &str, expected: &str) {
    assert_eq!(xml, format!("{HEAD}{expected}"));
}

fn owner() -> Owner {
    Owner { id: "1000".into(), display_name: "us".into() }
}

#[test]
fn listings_of_objects() {
    let mut result = ListBucketResult {
        name: "demo-bkt".into(),
        prefix: "a b".into(),
        delimiter: "/".into(),
        max_keys: 2,
        is_truncated: true,
        paging: Paging::Marker { marker: "a a".into(), next: "a c/".into() },
        contents: vec![ListedObject {
            key: "a b&".into(),
            last_modified_ms: T,
            etag: "00FF".into(),
            kind: "Normal".into(),
            size: 5,
            storage_class: String::new(),
            owner: Some(owner()),
        }],
        common_prefixes: vec!["a c/".into()],
    };
    written(
        &result.encode(false),
        "<ListBucketResult><Name>demo-bkt</Name><Prefix>a b</Prefix><MaxKeys>2</MaxKeys><Delimiter>/</Delimiter>\
         <IsTruncated>true</IsTruncated><Marker>a a</Marker><NextMarker>a c/</NextMarker><Contents><Key>a b&amp;</Key>\
         <LastModified>2026-11-20T10:00:00.000Z</LastModified><ETag>\"00FF\"</ETag><Type>Normal</Type><Size>5</Size>\
         <StorageClass>Standard</StorageClass><Owner><ID>1000</ID><DisplayName>us</DisplayName></Owner></Contents>\
         <CommonPrefixes><Prefix>a c/</Prefix></CommonPrefixes></ListBucketResult>",
    );
    result.paging =
        Paging::Token { token: String::new(), next: "YSBjLw==".into(), start_after: "a a".into() };
    result.contents[0].owner = None;
    result.contents[0].storage_class = "IA".into();
    written(
        &result.encode(true),
        "<ListBucketResult><Name>demo-bkt</Name><EncodingType>url</EncodingType><Prefix>a%20b</Prefix>\
         <MaxKeys>2</MaxKeys><Delimiter>/</Delimiter><IsTruncated>true</IsTruncated><KeyCount>2</KeyCount>\
         <NextContinuationToken>YSBjLw==</NextContinuationToken><StartAfter>a%20a</StartAfter><Contents>\
         <Key>a%20b%26</Key><LastModified>2026-11-20T10:00:00.000Z</LastModified><ETag>\"00FF\"</ETag>\
         <Type>Normal</Type><Size>5</Size><StorageClass>IA</StorageClass></Contents>\
         <CommonPrefixes><Prefix>a%20c/</Prefix></CommonPrefixes></ListBucketResult>",
    );
}

#[test]
fn buckets() {
    let bucket = ListedBucket {
        name: "demo-bkt".into(),
        created_ms: T,
        extranet_endpoint: "oss.example.com".into(),
        intranet_endpoint: "oss.example.com".into(),
        location: "oss-cn-hangzhou".into(),
        region: "cn-hangzhou".into(),
        storage_class: "Standard".into(),
    };
    let inner = "<CreationDate>2026-11-20T10:00:00.000Z</CreationDate><ExtranetEndpoint>oss.example.com</ExtranetEndpoint>\
         <IntranetEndpoint>oss.example.com</IntranetEndpoint><Location>oss-cn-hangzhou</Location><Name>demo-bkt</Name>\
         <Region>cn-hangzhou</Region><StorageClass>Standard</StorageClass>";
    let list = ListAllMyBucketsResult {
        owner: owner(),
        max_keys: 100,
        is_truncated: true,
        next_marker: "demo-bkt".into(),
        buckets: vec![bucket.clone()],
        ..ListAllMyBucketsResult::default()
    };
    written(
        &list.encode(),
        &format!(
            "<ListAllMyBucketsResult><Owner><ID>1000</ID><DisplayName>us</DisplayName></Owner><Prefix></Prefix>\
             <Marker></Marker><MaxKeys>100</MaxKeys><IsTruncated>true</IsTruncated><NextMarker>demo-bkt</NextMarker>\
             <Buckets><Bucket>{inner}</Bucket></Buckets></ListAllMyBucketsResult>"
        ),
    );
    let info = BucketInfo { bucket, owner: owner(), acl: "private".into() };
    written(
        &info.encode(),
        &format!(
            "<BucketInfo><Bucket>{inner}<DataRedundancyType>LRS</DataRedundancyType><Owner><ID>1000</ID>\
             <DisplayName>us</DisplayName></Owner><AccessControlList><Grant>private</Grant></AccessControlList>\
             <AccessMonitor>Disabled</AccessMonitor><CrossRegionReplication>Disabled</CrossRegionReplication>\
             <TransferAcceleration>Disabled</TransferAcceleration><BlockPublicAccess>false</BlockPublicAccess>\
             <ServerSideEncryptionRule><SSEAlgorithm>None</SSEAlgorithm></ServerSideEncryptionRule>\
             <BucketPolicy><LogBucket></LogBucket><LogPrefix></LogPrefix></BucketPolicy></Bucket></BucketInfo>"
        ),
    );
    written(
        &BucketStat { storage: 5, object_count: 2, multipart_upload_count: 1, last_modified_s: 7 }
            .encode(),
        "<BucketStat><Storage>5</Storage><ObjectCount>2</ObjectCount><MultipartUploadCount>1</MultipartUploadCount><LastModifiedTime>7</LastModifiedTime></BucketStat>",
    );
    written(
        &location_constraint("oss-cn-hangzhou"),
        "<LocationConstraint>oss-cn-hangzhou</LocationConstraint>",
    );
    written(
        &access_control_policy(&owner(), "default"),
        "<AccessControlPolicy><Owner><ID>1000</ID><DisplayName>us</DisplayName></Owner><AccessControlList>\
         <Grant>default</Grant></AccessControlList></AccessControlPolicy>",
    );
    let wanted = "<CreateBucketConfiguration xmlns=\"x\">\n<StorageClass> IA </StorageClass></CreateBucketConfiguration>";
    let wanted = CreateBucketConfiguration::decode(wanted.as_bytes()).unwrap();
    assert_eq!((wanted.storage_class.as_str(), wanted.location.as_str()), ("IA", ""));
}

#[test]
fn deletions_and_copies() {
    let body = "<?xml version=\"1.0\"?>\n<Delete>\n <Quiet>true</Quiet>\n <Object><Key>a &amp; b</Key></Object>\
                <Object><Key> c</Key><VersionId>null</VersionId></Object></Delete>";
    let object =
        |key: &str, version: &str| DeletedObject { key: key.into(), version_id: version.into() };
    assert_eq!(
        Delete::decode(body.as_bytes()),
        Ok(Delete { quiet: true, objects: vec![object("a & b", ""), object(" c", "null")] })
    );
    let without = b"<Delete><Object></Object></Delete>";
    assert_eq!(Delete::decode(without), Err(XmlError::Missing("Key")));
    let several = b"<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>";
    assert_eq!(Delete::decode(several), Err(XmlError::Value("Key")));
    written(
        &delete_result(&["a b", "c"], true),
        "<DeleteResult><EncodingType>url</EncodingType><Deleted><Key>a%20b</Key></Deleted><Deleted><Key>c</Key></Deleted></DeleteResult>",
    );
    let inner = "<LastModified>2026-11-20T10:00:00.000Z</LastModified><ETag>\"00FF\"</ETag>";
    written(
        &copy_object_result(T, "00FF"),
        &format!("<CopyObjectResult>{inner}</CopyObjectResult>"),
    );
    written(&copy_part_result(T, "00FF"), &format!("<CopyPartResult>{inner}</CopyPartResult>"));
    written(
        &post_response("b", "http://x/b/k", "k", "00FF"),
        "<PostResponse><Bucket>b</Bucket><Location>http://x/b/k</Location><Key>k</Key><ETag>\"00FF\"</ETag></PostResponse>",
    );
}

#[test]
fn tags() {
    let tagging = Tagging { tags: vec![("a".into(), "1 & 2".into()), ("b".into(), "".into())] };
    let text = "<Tagging><TagSet><Tag><Key>a</Key><Value>1 &amp; 2</Value></Tag><Tag><Key>b</Key><Value></Value></Tag></TagSet></Tagging>";
    written(&tagging.encode(), text);
    assert_eq!(Tagging::decode(text.as_bytes()), Ok(tagging));
    assert_eq!(Tagging::decode(b"<Tagging/>"), Ok(Tagging::default()));
}

#[test]
fn rules() {
    let text = "<x:CORSConfiguration xmlns:x=\"y\"> <x:CORSRule><x:AllowedOrigin> * </x:AllowedOrigin>\
        <x:AllowedMethod>PUT</x:AllowedMethod><x:MaxAgeSeconds>5</x:MaxAgeSeconds></x:CORSRule>\
        <!-- more --><x:ResponseVary>true</x:ResponseVary></x:CORSConfiguration>";
    let rule = CorsRule {
        allowed_origins: vec!["*".into()],
        allowed_methods: vec!["PUT".into()],
        max_age_seconds: Some(5),
        ..CorsRule::default()
    };
    let cors = CorsConfiguration { rules: vec![rule], response_vary: true };
    assert_eq!(CorsConfiguration::decode(text.as_bytes()).as_ref(), Ok(&cors));
    let kept = normalised(text.as_bytes(), CorsConfiguration::ROOT, false).unwrap();
    written(
        &kept,
        "<CORSConfiguration><CORSRule><AllowedOrigin> * </AllowedOrigin><AllowedMethod>PUT</AllowedMethod>\
         <MaxAgeSeconds>5</MaxAgeSeconds></CORSRule><ResponseVary>true</ResponseVary></CORSConfiguration>",
    );
    assert_eq!(CorsConfiguration::decode(kept.as_bytes()), Ok(cors));
    let aged = kept.replace(">5<", ">-1<");
    let error = CorsConfiguration::decode(aged.as_bytes()).unwrap_err();
    assert_eq!(error, RulesError::Value { name: "MaxAgeSeconds", value: "-1".into() });
    assert_eq!(error.to_string(), "-1 is no MaxAgeSeconds");

    let text = "<LifecycleConfiguration><Rule><Prefix>a/</Prefix><Status>Enabled</Status>\
        <Tag><Key>k</Key><Value>v</Value></Tag><Expiration><Days>3</Days></Expiration>\
        <Transition><Days>1</Days><StorageClass>IA</StorageClass></Transition></Rule>\
        <Rule><ID>own</ID><Prefix></Prefix><Status>Disabled</Status><AbortMultipartUpload>\
        <CreatedBeforeDate>2026-11-20T00:00:00.000Z</CreatedBeforeDate></AbortMultipartUpload></Rule></LifecycleConfiguration>";
    let rules = LifecycleConfiguration::decode(text.as_bytes()).unwrap().rules;
    let midnight = 1_795_132_800_000;
    assert_eq!(
        rules,
        [
            LifecycleRule {
                prefix: "a/".into(),
                status: "Enabled".into(),
                tags: vec![("k".into(), "v".into())],
                expiration: Some(Term::Days(3)),
                others: vec!["Transition".into()],
                ..LifecycleRule::default()
            },
            LifecycleRule {
                id: "own".into(),
                status: "Disabled".into(),
                abort_multipart_upload: Some(Term::CreatedBefore(midnight)),
                ..LifecycleRule::default()
            },
        ]
    );
    let kept = normalised(text.as_bytes(), LifecycleConfiguration::ROOT, true).unwrap();
    let named = text.replacen("<Rule>", "<Rule><ID>rule-1</ID>", 1);
    written(&kept, &named);
    let wrong = |name, value: &str| RulesError::Value { name, value: value.into() };
    for (term, error) in [
        ("<Expiration></Expiration>", RulesError::Xml(XmlError::Value("Expiration"))),
        ("<Expiration><Days>x</Days></Expiration>", wrong("Days", "x")),
        (
            "<Expiration><CreatedBeforeDate>soon</CreatedBeforeDate></Expiration>",
            wrong("CreatedBeforeDate", "soon"),
        ),
        (
            "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
            RulesError::Xml(XmlError::Value("Expiration")),
        ),
        (
            "<Expiration><Days>1</Days><Date>2026-11-20T00:00:00.000Z</Date></Expiration>",
            RulesError::Xml(XmlError::Value("Expiration")),
        ),
    ] {
        let text = format!(
            "<LifecycleConfiguration><Rule><Status>Enabled</Status>{term}</Rule></LifecycleConfiguration>"
        );
        assert_eq!(LifecycleConfiguration::decode(text.as_bytes()), Err(error), "{term}");
    }
    assert_eq!(
        normalised(b"<Other/>", CorsConfiguration::ROOT, false),
        Err(XmlError::Root("CORSConfiguration"))
    );
}

#[test]
fn no_two_rules_get_the_same_id() {
    let rules = |first: &str, second: &str| {
        format!(
            "<LifecycleConfiguration><Rule>{first}</Rule><Rule>{second}</Rule><Rule></Rule>\
            </LifecycleConfiguration>"
        )
    };
    let sent = rules("", "<ID>rule-1</ID>");
    let kept = normalised(sent.as_bytes(), LifecycleConfiguration::ROOT, true).unwrap();
    let named = rules("<ID>rule-4</ID>", "<ID>rule-1</ID>");
    written(&kept, &named.replace("<Rule></Rule>", "<Rule><ID>rule-3</ID></Rule>"));
}

#[test]
fn rules_that_would_not_be_kept_as_they_are_read_are_refused() {
    let prefix = "<LifecycleConfiguration><Rule><Prefix>a/<b/></Prefix><Status>Enabled</Status>\
        <Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>";
    let error = LifecycleConfiguration::decode(prefix.as_bytes());
    assert_eq!(error, Err(RulesError::Xml(XmlError::Value("Prefix"))));
    let origin = "<CORSConfiguration><CORSRule><AllowedOrigin>http://a<b/></AllowedOrigin>\
        <AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>";
    let error = CorsConfiguration::decode(origin.as_bytes());
    assert_eq!(error, Err(RulesError::Xml(XmlError::Value("AllowedOrigin"))));
}
