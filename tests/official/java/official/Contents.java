package official;

import static official.Official.bucket;
import static official.Official.endpoint;
import static official.Official.equal;
import static official.Official.fetched;
import static official.Official.holds;
import static official.Official.md5;
import static official.Official.noise;
import static official.Official.refused;
import static official.Official.same;

import com.aliyun.oss.model.AppendObjectRequest;
import com.aliyun.oss.model.CannedAccessControlList;
import com.aliyun.oss.model.CopyObjectRequest;
import com.aliyun.oss.model.DeleteObjectsRequest;
import com.aliyun.oss.model.GetObjectRequest;
import com.aliyun.oss.model.ListObjectsRequest;
import com.aliyun.oss.model.ListObjectsV2Request;
import com.aliyun.oss.model.ListObjectsV2Result;
import com.aliyun.oss.model.OSSObject;
import com.aliyun.oss.model.OSSObjectSummary;
import com.aliyun.oss.model.OSSVersionSummary;
import com.aliyun.oss.model.ObjectMetadata;
import com.aliyun.oss.model.VersionListing;
import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** Objects: put, got, copied, appended to, listed, deleted. */
final class Contents {
    static final List<Official.Check> CHECKS = List.of(
            new Official.Check("put, get and head tell the same", Contents::putGetHead),
            new Official.Check("awkward keys survive", Contents::awkwardKeys),
            new Official.Check("ranges and conditions", Contents::conditions),
            new Official.Check("objects are copied, tagged and opened", Contents::copies),
            new Official.Check("an object grows", Contents::appends),
            new Official.Check("objects are listed and deleted", Contents::listings));

    private static void putGetHead(Official client) throws Throwable {
        byte[] data = noise(300_000, 1);
        ObjectMetadata metadata = new ObjectMetadata();
        metadata.setContentType("video/mp4");
        metadata.setUserMetadata(Map.of("who", "me"));
        // Of a stream without a length: chunked.
        InputStream stream = new ByteArrayInputStream(data);
        equal(md5(data), client.oss.putObject(bucket, "j/put", stream, metadata).getETag());
        same(data, client.read("j/put"));
        ObjectMetadata head = client.oss.headObject(bucket, "j/put");
        equal(List.of("video/mp4", 300_000L, "me", "Normal"),
                List.of(head.getContentType(), head.getContentLength(), head.getUserMetadata().get("who"), head.getObjectType()));
        equal(300_000L, client.oss.getSimplifiedObjectMeta(bucket, "j/put").getSize());
        Path file = Files.createTempFile("official-java", ".mp4");
        try {
            Files.write(file, data);
            client.oss.putObject(bucket, "j/file", file.toFile());
            Files.write(file, new byte[0]);
            client.oss.getObject(new GetObjectRequest(bucket, "j/file"), file.toFile());
            same(data, Files.readAllBytes(file));
        } finally {
            Files.delete(file);
        }
        holds(client.oss.doesObjectExist(bucket, "j/put"), "what was put exists");
        holds(!client.oss.doesObjectExist(bucket, "j/none"), "what was not put does not");
        refused("NoSuchKey", () -> client.oss.getObject(bucket, "j/none"));
        refused("NoSuchKey", () -> client.oss.getObjectMetadata(bucket, "j/none"));
        client.clear("j/");
    }

    private static void awkwardKeys(Official client) throws Throwable {
        List<String> keys = List.of("a b.mp4", "百分 100%.mp4", "plus+and&amp.mp4", "deep/er//x.mp4", "q?=#.mp4", "<&>'\".mp4", "./a/../b", "~-_.!*()");
        for (String key : keys) {
            client.put("jk/" + key, key.getBytes("UTF-8"));
            equal(key, new String(client.read("jk/" + key), "UTF-8"));
        }
        equal(keys.stream().map("jk/"::concat).sorted().toList(), client.listed("jk/").stream().sorted().toList());
        client.clear("jk/");
        equal(List.of(), client.listed("jk/"));
    }

    private static void conditions(Official client) throws Throwable {
        byte[] data = noise(1000, 2);
        client.put("jc/a", data);
        try (OSSObject part = client.oss.getObject(new GetObjectRequest(bucket, "jc/a").withRange(10, 99))) {
            same(Arrays.copyOfRange(data, 10, 100), part.getObjectContent().readAllBytes());
        }
        GetObjectRequest other = new GetObjectRequest(bucket, "jc/a");
        other.setMatchingETagConstraints(List.of("00"));
        refused("PreconditionFailed", () -> client.oss.getObject(other));
        ObjectMetadata once = new ObjectMetadata();
        once.setHeader("x-oss-forbid-overwrite", "true");
        refused("FileAlreadyExists", () -> client.oss.putObject(bucket, "jc/a", new ByteArrayInputStream(data), once));
        ObjectMetadata wrong = new ObjectMetadata();
        wrong.setContentMD5("1B2M2Y8AsgTpgAmY7PhCfg==");
        refused("InvalidDigest", () -> client.oss.putObject(bucket, "jc/b", new ByteArrayInputStream(data), wrong));
        client.clear("jc/");
    }

    private static void copies(Official client) throws Throwable {
        byte[] data = noise(5000, 3);
        client.put("jp/a b+", data);
        equal(md5(data), client.oss.copyObject(bucket, "jp/a b+", bucket, "jp/b").getETag());
        same(data, client.read("jp/b"));
        CopyObjectRequest replaced = new CopyObjectRequest(bucket, "jp/a b+", bucket, "jp/c");
        ObjectMetadata metadata = new ObjectMetadata();
        metadata.setUserMetadata(Map.of("b", "2"));
        replaced.setNewObjectMetadata(metadata);
        client.oss.copyObject(replaced);
        equal(Map.of("b", "2"), client.oss.getObjectMetadata(bucket, "jp/c").getUserMetadata());
        refused("NoSuchKey", () -> client.oss.copyObject(bucket, "jp/none", bucket, "jp/d"));
        client.oss.setObjectTagging(bucket, "jp/b", Map.of("k+l", "v w"));
        equal(Map.of("k+l", "v w"), client.oss.getObjectTagging(bucket, "jp/b").getAllTags());
        client.oss.deleteObjectTagging(bucket, "jp/b");
        equal(Map.of(), client.oss.getObjectTagging(bucket, "jp/b").getAllTags());
        URI url = URI.create(endpoint + "/" + bucket + "/jp/b");
        equal(403, fetched("GET", url, "").statusCode());
        client.oss.setObjectAcl(bucket, "jp/b", CannedAccessControlList.PublicRead);
        equal("public-read", client.oss.getObjectAcl(bucket, "jp/b").getPermission().toString());
        equal(200, fetched("GET", url, "").statusCode());
        refused("NotImplemented", () -> client.oss.createSymlink(bucket, "jp/link", "jp/b"));
        client.clear("jp/");
    }

    private static void appends(Official client) throws Throwable {
        AppendObjectRequest first = new AppendObjectRequest(bucket, "jl/a", new ByteArrayInputStream("one".getBytes()));
        equal(3L, client.oss.appendObject(first.withPosition(0L)).getNextPosition());
        AppendObjectRequest second = new AppendObjectRequest(bucket, "jl/a", new ByteArrayInputStream("two".getBytes()));
        equal(6L, client.oss.appendObject(second.withPosition(3L)).getNextPosition());
        equal("onetwo", new String(client.read("jl/a")));
        AppendObjectRequest late = new AppendObjectRequest(bucket, "jl/a", new ByteArrayInputStream("x".getBytes()));
        refused("PositionNotEqualToLength", () -> client.oss.appendObject(late.withPosition(1L)));
        client.clear("jl/");
    }

    private static void listings(Official client) throws Throwable {
        List<String> keys = List.of("jn/a b", "jn/sub/1", "jn/sub/2", "jn/z+&", "jn/~~~～", "jn/测.mp4");
        for (String key : keys) {
            client.put(key, key.getBytes("UTF-8"));
        }
        List<String> sorted = keys.stream().sorted().toList();
        equal(sorted, client.listed("jn/").stream().sorted().toList());
        List<String> second = new ArrayList<>();
        ListObjectsV2Request request = new ListObjectsV2Request(bucket, "jn/").withMaxKeys(1).withFetchOwner(true);
        ListObjectsV2Result page;
        do {
            page = client.oss.listObjectsV2(request);
            for (OSSObjectSummary object : page.getObjectSummaries()) {
                second.add(object.getKey());
                holds(object.getOwner().getId() != null && object.getLastModified() != null, "owner and time");
            }
            request.setContinuationToken(page.getNextContinuationToken());
        } while (page.isTruncated());
        equal(sorted, second.stream().sorted().toList());
        equal(List.of("jn/sub/"), client.oss.listObjects(new ListObjectsRequest(bucket, "jn/", null, "/", 10)).getCommonPrefixes());
        VersionListing versions = client.oss.listVersions(bucket, "jn/");
        equal(sorted, versions.getVersionSummaries().stream().map(OSSVersionSummary::getKey).sorted().toList());
        equal("null", versions.getVersionSummaries().get(0).getVersionId());
        List<String> told = client.oss.deleteObjects(new DeleteObjectsRequest(bucket).withKeys(keys)).getDeletedObjects();
        equal(sorted, told.stream().sorted().toList());
        equal(List.of(), client.listed("jn/"));
        client.oss.deleteObject(bucket, "jn/never");
    }
}
