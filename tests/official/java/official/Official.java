package official;

import com.aliyun.oss.ClientBuilderConfiguration;
import com.aliyun.oss.OSS;
import com.aliyun.oss.OSSClientBuilder;
import com.aliyun.oss.OSSException;
import com.aliyun.oss.common.auth.DefaultCredentialProvider;
import com.aliyun.oss.common.comm.SignVersion;
import com.aliyun.oss.model.DeleteObjectsRequest;
import com.aliyun.oss.model.ListMultipartUploadsRequest;
import com.aliyun.oss.model.ListObjectsRequest;
import com.aliyun.oss.model.MultipartUpload;
import com.aliyun.oss.model.OSSObjectSummary;
import com.aliyun.oss.model.ObjectListing;
import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Objects;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The official Java SDK as a black box against our server, signed by V1 and V4.
 *
 * <p>Usage: Official ENDPOINT BUCKET KEYS_FILE. Prints a line per check and {@code N passed, N failed}.
 */
final class Official {
    static final int PART = 102_400;
    /** The region that the server tells when it was not told another. */
    static final String REGION = "cn-shanghai";

    static String endpoint;
    static String bucket;
    static String accessKeyId;
    static String accessKeySecret;

    /** A named case; it fails by throwing. */
    interface Run {
        void with(Official client) throws Throwable;
    }

    record Check(String name, Run run) {}

    public static void main(String[] args) throws Exception {
        endpoint = args[0];
        bucket = args[1];
        String section = Files.readString(Path.of(args[2])).split("\\[\\[access_key]]")[1].split("\\[\\[")[0];
        accessKeyId = found("(?m)^id = \"(.*)\"$", section);
        accessKeySecret = found("(?m)^secret = \"(.*)\"$", section);

        List<Check> checks = new ArrayList<>();
        checks.addAll(Contents.CHECKS);
        checks.addAll(Buckets.CHECKS);
        checks.addAll(Uploads.CHECKS);
        checks.addAll(Access.CHECKS);
        int passed = 0;
        int failed = 0;
        for (SignVersion version : List.of(SignVersion.V1, SignVersion.V4)) {
            for (Check check : checks) {
                String name = check.name() + " (" + version + ")";
                try {
                    check.run().with(new Official(version, accessKeyId, accessKeySecret, null, REGION));
                    passed++;
                    System.out.println("oss-java … ok " + name);
                } catch (Throwable why) {
                    failed++;
                    StackTraceElement[] stack = why.getStackTrace();
                    String where = Arrays.stream(stack)
                            .filter(at -> at.getClassName().startsWith("official."))
                            .filter(at -> !at.getClassName().equals("official.Official"))
                            .map(at -> at.getFileName() + ":" + at.getLineNumber())
                            .findFirst().orElse("?");
                    System.out.println("oss-java … FAILED " + name + ": " + why + " at " + where);
                }
            }
        }
        System.out.println("oss-java: " + passed + " passed, " + failed + " failed");
        System.exit(failed == 0 ? 0 : 1);
    }

    final SignVersion version;
    final OSS oss;

    Official(SignVersion version, String id, String secret, String token, String region) {
        this.version = version;
        ClientBuilderConfiguration configuration = new ClientBuilderConfiguration();
        configuration.setSignatureVersion(version);
        configuration.setMaxErrorRetry(0);
        oss = OSSClientBuilder.create()
                .endpoint(endpoint)
                .region(region)
                .credentialsProvider(new DefaultCredentialProvider(id, secret, token))
                .clientConfiguration(configuration)
                .build();
    }

    /** Another client that signs as this one does. */
    Official as(String id, String secret, String token) {
        return new Official(version, id, secret, token, REGION);
    }

    Official anew() {
        return as(accessKeyId, accessKeySecret, null);
    }

    void put(String key, byte[] data) {
        oss.putObject(bucket, key, new ByteArrayInputStream(data));
    }

    byte[] read(String key) throws Exception {
        try (InputStream content = oss.getObject(bucket, key).getObjectContent()) {
            return content.readAllBytes();
        }
    }

    /** All keys under the prefix, two a page. */
    List<String> listed(String prefix) {
        List<String> keys = new ArrayList<>();
        String marker = null;
        do {
            ObjectListing page = oss.listObjects(new ListObjectsRequest(bucket, prefix, marker, null, 2));
            for (OSSObjectSummary object : page.getObjectSummaries()) {
                keys.add(object.getKey());
            }
            marker = page.isTruncated() ? page.getNextMarker() : null;
        } while (marker != null);
        return keys;
    }

    List<MultipartUpload> uploads(String prefix) {
        ListMultipartUploadsRequest request = new ListMultipartUploadsRequest(bucket);
        request.setPrefix(prefix);
        return oss.listMultipartUploads(request).getMultipartUploads();
    }

    /** Leaves no object under the prefix. */
    void clear(String prefix) {
        List<String> keys = listed(prefix);
        if (!keys.isEmpty()) {
            oss.deleteObjects(new DeleteObjectsRequest(bucket).withKeys(keys).withQuiet(true));
        }
    }

    /** What a check may do that throws. */
    interface Call {
        void make() throws Throwable;
    }

    /** The call fails with this code and a request id. */
    static OSSException refused(String code, Call call) throws Throwable {
        try {
            call.make();
        } catch (OSSException error) {
            equal(code, error.getErrorCode());
            holds(error.getRequestId().matches("[0-9A-F]{24}"), "a request id, not " + error.getRequestId());
            return error;
        }
        throw new AssertionError(code + " was not answered");
    }

    static void equal(Object want, Object have) {
        if (!Objects.deepEquals(want, have)) {
            throw new AssertionError(have + ", but " + want + " was expected");
        }
    }

    static void same(byte[] want, byte[] have) {
        holds(Arrays.equals(want, have), have.length + " bytes that differ from the " + want.length + " expected");
    }

    static void holds(boolean ok, String what) {
        if (!ok) {
            throw new AssertionError(what);
        }
    }

    static String found(String pattern, String text) {
        Matcher matcher = Pattern.compile(pattern).matcher(text);
        return matcher.find() ? matcher.group(1) : null;
    }

    /** Bytes that repeat nowhere, the same for the same seed. */
    static byte[] noise(int length, int seed) {
        byte[] data = new byte[length];
        new java.util.Random(seed).nextBytes(data);
        return data;
    }

    static String md5(byte[] data) throws Exception {
        return HexFormat.of().withUpperCase().formatHex(MessageDigest.getInstance("MD5").digest(data));
    }

    /** Sends a request that no SDK makes. */
    static HttpResponse<String> fetched(String method, URI url, String body, String... headers) throws Exception {
        HttpRequest.Builder request = HttpRequest.newBuilder(url);
        request.method(method, HttpRequest.BodyPublishers.ofString(body));
        if (headers.length > 0) {
            request.headers(headers);
        }
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        return client.send(request.build(), HttpResponse.BodyHandlers.ofString());
    }
}
