//! The error codes of the service: what the server sends, and the status it sends them with.

macro_rules! codes {
    ($($name:ident $status:literal $message:literal,)*) => {
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

            /// The HTTP status that goes with it.
            pub fn status(self) -> u16 {
                match self { $(Code::$name => $status,)* }
            }

            /// The usual text, for when there is nothing better to say.
            pub fn message(self) -> &'static str {
                match self { $(Code::$name => $message,)* }
            }
        }
    };
}

codes! {
    CallbackFailed 203 "The upload is stored, but the callback failed.",
    NotModified 304 "The object has not been modified.",
    BadRequest 400 "The request cannot be read.",
    EntityTooLarge 400 "Your proposed upload exceeds the maximum allowed size.",
    EntityTooSmall 400 "Your proposed upload smaller than the minimum allowed size.",
    FieldItemTooLong 400 "A field of the form is too long.",
    IncompleteBody 400 "The body is shorter than its Content-Length.",
    IncorrectNumberOfFilesInPOSTRequest 400 "A form must have exactly one file.",
    InvalidArgument 400 "An argument of the request is not valid.",
    InvalidBucketName 400 "The specified bucket is not valid.",
    InvalidCRC64 400 "The CRC64 you specified did not match what was received.",
    InvalidDigest 400 "The Content-MD5 you specified was invalid or did not match what was received.",
    InvalidObjectName 400 "The specified object is not valid.",
    InvalidPart 400 "One or more of the specified parts could not be found or the specified entity tag might not have matched the part's entity tag.",
    InvalidPartOrder 400 "The list of parts was not in ascending order. Parts list must specified in order by part number.",
    InvalidPolicyDocument 400 "The policy of the form is not valid.",
    InvalidRequest 400 "The request is not valid.",
    InvalidTag 400 "A tag is not valid.",
    MalformedPOSTRequest 400 "The body of the POST request is not well-formed multipart/form-data.",
    MalformedXML 400 "The XML you provided was not well-formed or did not validate against our published schema.",
    MissingArgument 400 "A required argument is missing.",
    NotImplemented 400 "A header or parameter you provided implies functionality that is not implemented.",
    OperationNotSupported 400 "The specified operation is not supported.",
    PartNotSequential 400 "The parts of this upload must be sent in order.",
    RequestIsNotMultiPartContent 400 "The body of a POST request to a bucket must be multipart/form-data.",
    RequestTimeout 400 "Your socket connection to the server was not read from or written to within the timeout period.",
    TooManyBuckets 400 "You have attempted to create more buckets than allowed.",
    AccessDenied 403 "You have no right to access this object because of bucket acl.",
    AccessForbidden 403 "CORS does not allow this request.",
    AccessKeyIdAndSecurityTokenNotMatch 403 "The AccessKeyId does not match the security token.",
    BucketDisable 403 "The bucket is disabled.",
    InvalidAccessKeyId 403 "The OSS Access Key Id you provided does not exist in our records.",
    InvalidObjectState 403 "The operation is not valid for the object's state.",
    InvalidSecurityToken 403 "The security token you provided is invalid.",
    NonStandardHostForbidden 403 "The host of the request is not one of this service.",
    RequestTimeTooSkewed 403 "The difference between the request time and the current time is too large.",
    SecondLevelDomainForbidden 403 "The bucket you are attempting to access must be addressed using OSS third level domain.",
    SecurityTokenExpired 403 "The security token you provided has expired.",
    SecurityTokenNotSupported 403 "A security token cannot be used with this access key.",
    SignatureDoesNotMatch 403 "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
    UserDisable 403 "The user is disabled.",
    NoSuchBucket 404 "The specified bucket does not exist.",
    NoSuchCORSConfiguration 404 "The CORS configuration does not exist.",
    NoSuchKey 404 "The specified key does not exist.",
    NoSuchLifecycle 404 "The lifecycle configuration does not exist.",
    NoSuchUpload 404 "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
    NoSuchVersion 404 "The specified version does not exist.",
    NoSuchWebsiteConfiguration 404 "The website configuration does not exist.",
    SymlinkTargetNotExist 404 "The target of the symbolic link does not exist.",
    MethodNotAllowed 405 "The specified method is not allowed against this resource.",
    BucketAlreadyExists 409 "The requested bucket name is not available. Please select a different name and try again.",
    BucketNotEmpty 409 "The bucket has objects. Please delete them first.",
    FileAlreadyExists 409 "The object you specified already exists and can not be overwritten.",
    FileImmutable 409 "The object is immutable.",
    ObjectNotAppendable 409 "The object is not appendable.",
    OperationInProgress 409 "Another operation on this resource is in progress.",
    PartAlreadyExist 409 "The part already exists.",
    PositionNotEqualToLength 409 "The position is not equal to the length of the object.",
    MissingContentLength 411 "You must provide the Content-Length HTTP header.",
    PreconditionFailed 412 "At least one of the preconditions you specified did not hold.",
    InvalidRange 416 "The requested range is not satisfiable.",
    InternalError 500 "We encountered an internal error. Please try again.",
    DownloadTrafficRateLimitExceeded 503 "The download traffic exceeds the limit.",
    QpsLimitExceeded 503 "The number of requests per second exceeds the limit.",
    ServiceUnavailable 503 "Please reduce your request rate.",
    UploadTrafficRateLimitExceeded 503 "The upload traffic exceeds the limit.",
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
    fn every_code_has_a_status_and_one_line() {
        for code in Code::ALL {
            assert!((203..=503).contains(&code.status()), "{code:?}");
            assert!(!code.message().is_empty() && !code.message().contains('\n'), "{code:?}");
        }
    }
}
