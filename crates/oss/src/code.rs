//! The error codes of the service: what the server sends, and the status it sends them with.
//!
//! Each has a number besides (`EC`). Where the service's documentation names one for the usual reason of a code, it is that; numbers
//! that begin with `0090` are this project's own. Neither kind is ever given to another code.

macro_rules! codes {
    ($($name:ident $status:literal $ec:literal $message:literal,)*) => {
        /// An error code of the service. Its wire name is the variant's name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = concat!("Status ", stringify!($status), ": ", $message)] $name,)*
        }

        impl Code {
            /// All of them.
            pub const ALL: &[Code] = &[$(Code::$name,)*];

            /// As on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => stringify!($name),)* }
            }

            /// The code of this name.
            pub fn named(name: &str) -> Option<Code> {
                match name { $(stringify!($name) => Some(Code::$name),)* _ => None }
            }

            /// The HTTP status that goes with it.
            pub fn status(self) -> u16 {
                match self { $(Code::$name => $status,)* }
            }

            /// The number that tells the reason finer than the code does (`EC`). It is for people and tools that look
            /// errors up: a client that wants to decide goes by the code.
            pub fn ec(self) -> &'static str {
                match self { $(Code::$name => $ec,)* }
            }

            /// The usual text, for when there is nothing better to say.
            pub fn message(self) -> &'static str {
                match self { $(Code::$name => $message,)* }
            }
        }
    };
}

codes! {
    CallbackFailed 203 "0007-00000203" "The upload is stored, but the callback failed.",
    NotModified 304 "0090-00000001" "The object has not been modified.",
    BadRequest 400 "0090-00000002" "The request cannot be read.",
    EntityTooLarge 400 "0090-00000003" "Your proposed upload exceeds the maximum allowed size.",
    EntityTooSmall 400 "0090-00000004" "Your proposed upload smaller than the minimum allowed size.",
    FieldItemTooLong 400 "0090-00000005" "A field of the form is too long.",
    IncompleteBody 400 "0090-00000006" "The body is shorter than its Content-Length.",
    IncorrectNumberOfFilesInPOSTRequest 400 "0090-00000007" "A form must have exactly one file.",
    InvalidArgument 400 "0090-00000008" "An argument of the request is not valid.",
    InvalidBucketName 400 "0090-00000009" "The specified bucket is not valid.",
    InvalidCRC64 400 "0090-00000010" "The CRC64 you specified did not match what was received.",
    InvalidDigest 400 "0017-00000503" "The Content-MD5 you specified was invalid or did not match what was received.",
    InvalidObjectName 400 "0016-00000005" "The specified object is not valid.",
    InvalidPart 400 "0090-00000011" "One or more of the specified parts could not be found or the specified entity tag might not have matched the part's entity tag.",
    InvalidPartOrder 400 "0090-00000012" "The list of parts was not in ascending order. Parts list must specified in order by part number.",
    InvalidPolicyDocument 400 "0090-00000013" "The policy of the form is not valid.",
    InvalidRequest 400 "0090-00000014" "The request is not valid.",
    InvalidTag 400 "0090-00000015" "A tag is not valid.",
    MalformedPOSTRequest 400 "0090-00000016" "The body of the POST request is not well-formed multipart/form-data.",
    MalformedXML 400 "0090-00000017" "The XML you provided was not well-formed or did not validate against our published schema.",
    MissingArgument 400 "0016-00000502" "A required argument is missing.",
    NotImplemented 400 "0090-00000018" "A header or parameter you provided implies functionality that is not implemented.",
    OperationNotSupported 400 "0090-00000019" "The specified operation is not supported.",
    PartNotSequential 400 "0090-00000020" "The parts of this upload must be sent in order.",
    RequestIsNotMultiPartContent 400 "0090-00000021" "The body of a POST request to a bucket must be multipart/form-data.",
    RequestTimeout 400 "0090-00000022" "Your socket connection to the server was not read from or written to within the timeout period.",
    TooManyBuckets 400 "0090-00000023" "You have attempted to create more buckets than allowed.",
    AccessDenied 403 "0003-00000001" "You have no right to access this object because of bucket acl.",
    AccessForbidden 403 "0090-00000024" "CORS does not allow this request.",
    AccessKeyIdAndSecurityTokenNotMatch 403 "0090-00000025" "The AccessKeyId does not match the security token.",
    BucketDisable 403 "0090-00000026" "The bucket is disabled.",
    InvalidAccessKeyId 403 "0002-00000902" "The OSS Access Key Id you provided does not exist in our records.",
    InvalidObjectState 403 "0090-00000027" "The operation is not valid for the object's state.",
    InvalidSecurityToken 403 "0090-00000028" "The security token you provided is invalid.",
    NonStandardHostForbidden 403 "0090-00000029" "The host of the request is not one of this service.",
    RequestTimeTooSkewed 403 "0002-00000504" "The difference between the request time and the current time is too large.",
    SecondLevelDomainForbidden 403 "0090-00000030" "The bucket you are attempting to access must be addressed using OSS third level domain.",
    SecurityTokenExpired 403 "0090-00000031" "The security token you provided has expired.",
    SecurityTokenNotSupported 403 "0090-00000032" "A security token cannot be used with this access key.",
    SignatureDoesNotMatch 403 "0002-00000040" "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
    UserDisable 403 "0003-00000801" "The user is disabled.",
    NoSuchBucket 404 "0015-00000101" "The specified bucket does not exist.",
    NoSuchCORSConfiguration 404 "0090-00000033" "The CORS configuration does not exist.",
    NoSuchKey 404 "0026-00000001" "The specified key does not exist.",
    NoSuchLifecycle 404 "0090-00000034" "The lifecycle configuration does not exist.",
    NoSuchUpload 404 "0090-00000035" "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
    NoSuchVersion 404 "0090-00000036" "The specified version does not exist.",
    NoSuchWebsiteConfiguration 404 "0090-00000037" "The website configuration does not exist.",
    SymlinkTargetNotExist 404 "0090-00000038" "The target of the symbolic link does not exist.",
    MethodNotAllowed 405 "0090-00000039" "The specified method is not allowed against this resource.",
    BucketAlreadyExists 409 "0090-00000040" "The requested bucket name is not available. Please select a different name and try again.",
    BucketNotEmpty 409 "0090-00000041" "The bucket has objects. Please delete them first.",
    FileAlreadyExists 409 "0090-00000042" "The object you specified already exists and can not be overwritten.",
    FileImmutable 409 "0090-00000043" "The object is immutable.",
    ObjectNotAppendable 409 "0090-00000044" "The object is not appendable.",
    OperationInProgress 409 "0090-00000045" "Another operation on this resource is in progress.",
    PartAlreadyExist 409 "0090-00000046" "The part already exists.",
    PositionNotEqualToLength 409 "0026-00000016" "The position is not equal to the length of the object.",
    MissingContentLength 411 "0090-00000047" "You must provide the Content-Length HTTP header.",
    PreconditionFailed 412 "0090-00000048" "At least one of the preconditions you specified did not hold.",
    InvalidRange 416 "0090-00000049" "The requested range is not satisfiable.",
    InternalError 500 "0090-00000050" "We encountered an internal error. Please try again.",
    DownloadTrafficRateLimitExceeded 503 "0090-00000051" "The download traffic exceeds the limit.",
    QpsLimitExceeded 503 "0090-00000052" "The number of requests per second exceeds the limit.",
    ServiceUnavailable 503 "0090-00000053" "Please reduce your request rate.",
    UploadTrafficRateLimitExceeded 503 "0090-00000054" "The upload traffic exceeds the limit.",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_as_on_the_wire() {
        assert_eq!(Code::MalformedXML.as_str(), "MalformedXML");
        assert_eq!(Code::InvalidCRC64.status(), 400);
        assert_eq!(Code::NoSuchUpload.status(), 404);
        assert_eq!(Code::QpsLimitExceeded.status(), 503);
    }

    #[test]
    fn every_code_has_a_number_of_its_own() {
        for (index, code) in Code::ALL.iter().enumerate() {
            let digits = |text: &str, count| {
                text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
            };
            let (module, number) = code.ec().split_once('-').unwrap();
            assert!(digits(module, 4) && digits(number, 8), "{code:?}");
            assert!(Code::ALL[..index].iter().all(|other| other.ec() != code.ec()), "{code:?}");
            assert_eq!(Code::named(code.as_str()), Some(*code));
        }
        assert_eq!(Code::NoSuchKey.ec(), "0026-00000001");
        assert_eq!(Code::named("QuotaExceeded"), None);
    }

    #[test]
    fn every_code_has_a_status_and_one_line() {
        for code in Code::ALL {
            assert!((203..=503).contains(&code.status()), "{code:?}");
            assert!(!code.message().is_empty() && !code.message().contains('\n'), "{code:?}");
        }
    }
}
