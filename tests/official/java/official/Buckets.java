package official;

import static official.Official.bucket;
import static official.Official.equal;
import static official.Official.holds;
import static official.Official.refused;

import com.aliyun.oss.model.Bucket;
import com.aliyun.oss.model.BucketInfo;
import com.aliyun.oss.model.BucketList;
import com.aliyun.oss.model.BucketStat;
import com.aliyun.oss.model.CannedAccessControlList;
import com.aliyun.oss.model.CreateBucketRequest;
import com.aliyun.oss.model.LifecycleRule;
import com.aliyun.oss.model.SetBucketCORSRequest;
import com.aliyun.oss.model.SetBucketLifecycleRequest;
import com.aliyun.oss.model.StorageClass;
import java.io.ByteArrayInputStream;
import java.util.List;

/** Buckets and their rules. */
final class Buckets {
    private static final String SECOND = "java-second";

    static final List<Official.Check> CHECKS = List.of(
            new Official.Check("a bucket is made, looked at and deleted", Buckets::life),
            new Official.Check("rules of a bucket", Buckets::rules),
            new Official.Check("what the server lacks it says", Buckets::lacks));

    private static void life(Official client) throws Throwable {
        CreateBucketRequest request = new CreateBucketRequest(SECOND);
        client.oss.createBucket(request.withCannedACL(CannedAccessControlList.PublicRead).withStorageType(StorageClass.IA));
        holds(client.oss.doesBucketExist(SECOND), "the bucket exists");
        BucketInfo info = client.oss.getBucketInfo(SECOND);
        Bucket bucket = info.getBucket();
        equal(List.of(SECOND, "oss-cn-shanghai", StorageClass.IA, CannedAccessControlList.PublicRead),
                List.of(bucket.getName(), bucket.getLocation(), bucket.getStorageClass(), info.getCannedACL()));
        equal("oss-cn-shanghai", client.oss.getBucketLocation(SECOND));
        client.oss.setBucketAcl(SECOND, CannedAccessControlList.Private);
        equal(CannedAccessControlList.Private, client.oss.getBucketAcl(SECOND).getCannedACL());
        client.oss.putObject(SECOND, "a", new ByteArrayInputStream("12345".getBytes()));
        BucketStat stat = client.oss.getBucketStat(SECOND);
        equal(List.of(5L, 1L, 0L), List.of(stat.getStorageSize(), stat.getObjectCount(), stat.getMultipartUploadCount()));
        refused("BucketNotEmpty", () -> client.oss.deleteBucket(SECOND));
        client.oss.deleteObject(SECOND, "a");
        BucketList page = client.oss.listBuckets(null, null, 1);
        equal(List.of(SECOND, true), List.of(page.getBucketList().get(0).getName(), page.isTruncated()));
        client.oss.deleteBucket(SECOND);
        holds(!client.oss.doesBucketExist(SECOND), "the bucket is gone");
        refused("NoSuchBucket", () -> client.oss.getBucketInfo(SECOND));
        refused("NoSuchBucket", () -> client.oss.putObject(SECOND, "a", new ByteArrayInputStream(new byte[1])));
    }

    private static void rules(Official client) throws Throwable {
        refused("NoSuchCORSConfiguration", () -> client.oss.getBucketCORSRules(bucket));
        SetBucketCORSRequest.CORSRule rule = new SetBucketCORSRequest.CORSRule();
        rule.setAllowedOrigins(List.of("https://*.example.com"));
        rule.setAllowedMethods(List.of("GET", "PUT"));
        rule.setAllowedHeaders(List.of("*"));
        rule.setExposeHeaders(List.of("ETag"));
        rule.setMaxAgeSeconds(60);
        SetBucketCORSRequest cors = new SetBucketCORSRequest(bucket);
        cors.setCorsRules(List.of(rule));
        client.oss.setBucketCORS(cors);
        SetBucketCORSRequest.CORSRule kept = client.oss.getBucketCORSRules(bucket).get(0);
        equal(List.of(rule.getAllowedOrigins(), rule.getAllowedMethods(), 60),
                List.of(kept.getAllowedOrigins(), kept.getAllowedMethods(), kept.getMaxAgeSeconds()));
        client.oss.deleteBucketCORSRules(bucket);

        refused("NoSuchLifecycle", () -> client.oss.getBucketLifecycle(bucket));
        SetBucketLifecycleRequest lifecycle = new SetBucketLifecycleRequest(bucket);
        LifecycleRule.AbortMultipartUpload abort = new LifecycleRule.AbortMultipartUpload();
        abort.setExpirationDays(7);
        lifecycle.setLifecycleRules(List.of(new LifecycleRule("old", "old/", LifecycleRule.RuleStatus.Enabled, 30, abort)));
        client.oss.setBucketLifecycle(lifecycle);
        LifecycleRule old = client.oss.getBucketLifecycle(bucket).get(0);
        equal(List.of("old", "old/", 30, 7),
                List.of(old.getId(), old.getPrefix(), old.getExpirationDays(), old.getAbortMultipartUpload().getExpirationDays()));
        client.oss.deleteBucketLifecycle(bucket);
        refused("NoSuchLifecycle", () -> client.oss.getBucketLifecycle(bucket));
    }

    private static void lacks(Official client) throws Throwable {
        refused("NotImplemented", () -> client.oss.getBucketWebsite(bucket));
        refused("NotImplemented", () -> client.oss.getBucketLogging(bucket));
        refused("NotImplemented", () -> client.oss.getBucketVersioning(bucket));
        refused("NotImplemented", () -> client.oss.getBucketPolicy(bucket));
    }
}
