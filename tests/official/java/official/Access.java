package official;

import static official.Official.accessKeyId;
import static official.Official.accessKeySecret;
import static official.Official.bucket;
import static official.Official.endpoint;
import static official.Official.equal;
import static official.Official.fetched;
import static official.Official.found;
import static official.Official.holds;
import static official.Official.refused;

import com.aliyun.oss.HttpMethod;
import com.aliyun.oss.common.comm.SignVersion;
import com.aliyun.oss.model.Callback;
import com.aliyun.oss.model.GeneratePresignedUrlRequest;
import com.aliyun.oss.model.PutObjectRequest;
import com.aliyun.oss.model.PutObjectResult;
import com.aliyun.oss.model.ResponseHeaderOverrides;
import com.aliyuncs.CommonRequest;
import com.aliyuncs.DefaultAcsClient;
import com.aliyuncs.http.MethodType;
import com.aliyuncs.http.ProtocolType;
import com.aliyuncs.profile.DefaultProfile;
import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayInputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Date;
import java.util.List;
import java.util.Map;

/** Who may do what: signed URLs, keys, tokens; and callbacks. */
final class Access {
    private static final String ROLE = "acs:ram::1000000000000001:role/uploader";

    static final List<Official.Check> CHECKS = List.of(
            new Official.Check("signed URLs", Access::signedUrls),
            new Official.Check("wrong keys are refused", Access::wrongKeys),
            new Official.Check("tokens of STS do what they may", Access::tokens),
            new Official.Check("a token that is dead is told as expired", Access::deadToken),
            new Official.Check("an application is told of an object and answers the uploader", Access::callback));

    private static Date in(long seconds) {
        return new Date(System.currentTimeMillis() + seconds * 1000);
    }

    private static void signedUrls(Official client) throws Throwable {
        String key = "ju/a b+测.txt";
        GeneratePresignedUrlRequest put = new GeneratePresignedUrlRequest(bucket, key, HttpMethod.PUT);
        put.setExpiration(in(60));
        put.setContentType("text/plain");
        URI target = client.oss.generatePresignedUrl(put).toURI();
        equal(200, fetched("PUT", target, "signed", "Content-Type", "text/plain").statusCode());
        HttpResponse<String> other = fetched("PUT", target, "x", "Content-Type", "text/html");
        equal(List.of(403, "SignatureDoesNotMatch"), List.of(other.statusCode(), found("<Code>(.*)</Code>", other.body())));
        GeneratePresignedUrlRequest get = new GeneratePresignedUrlRequest(bucket, key, HttpMethod.GET);
        get.setExpiration(in(60));
        ResponseHeaderOverrides overrides = new ResponseHeaderOverrides();
        overrides.setContentType("text/custom");
        get.setResponseHeaders(overrides);
        HttpResponse<String> got = fetched("GET", client.oss.generatePresignedUrl(get).toURI(), "");
        equal(List.of("signed", "text/custom"), List.of(got.body(), got.headers().firstValue("content-type").orElse("")));
        // In whole seconds: one may have become none.
        URI late = client.oss.generatePresignedUrl(bucket, key, in(2)).toURI();
        Thread.sleep(3500);
        HttpResponse<String> refused = fetched("GET", late, "");
        equal(List.of(403, "AccessDenied"), List.of(refused.statusCode(), found("<Code>(.*)</Code>", refused.body())));
        client.clear("ju/");
    }

    private static void wrongKeys(Official client) throws Throwable {
        refused("SignatureDoesNotMatch", () -> client.as(accessKeyId, "wrong", null).put("ja/a", new byte[1]));
        refused("InvalidAccessKeyId", () -> client.as("nobody", accessKeySecret, null).put("ja/a", new byte[1]));
        if (client.version == SignVersion.V4) {
            Official elsewhere = new Official(SignVersion.V4, accessKeyId, accessKeySecret, null, "cn-hangzhou");
            refused("InvalidArgument", () -> elsewhere.put("ja/a", new byte[1]));
        }
        holds(!client.oss.doesObjectExist(bucket, "ja/a"), "nothing was put");
    }

    private static void tokens(Official client) throws Throwable {
        CommonRequest request = new CommonRequest();
        request.setSysDomain(URI.create(endpoint).getAuthority());
        request.setSysProtocol(ProtocolType.HTTP);
        request.setSysMethod(MethodType.POST);
        request.setSysVersion("2015-04-01");
        request.setSysAction("AssumeRole");
        request.putQueryParameter("RoleArn", ROLE);
        request.putQueryParameter("RoleSessionName", "official-java");
        request.putQueryParameter("DurationSeconds", "900");
        request.putQueryParameter("Policy", "{\"Version\":\"1\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":[\"oss:PutObject\",\"oss:GetObject\"],"
                + "\"Resource\":\"acs:oss:*:*:" + bucket + "/js/in/*\"}]}");
        DefaultProfile profile = DefaultProfile.getProfile("cn-shanghai", accessKeyId, accessKeySecret);
        String reply = new DefaultAcsClient(profile).getCommonResponse(request).getData();
        String id = found("\"AccessKeyId\":\"(.*?)\"", reply);
        String secret = found("\"AccessKeySecret\":\"(.*?)\"", reply);
        String token = found("\"SecurityToken\":\"(.*?)\"", reply);
        Official assumed = client.as(id, secret, token);
        assumed.put("js/in/a", "token".getBytes());
        equal("token", new String(assumed.read("js/in/a")));
        refused("AccessDenied", () -> assumed.put("js/out", new byte[1]));
        refused("AccessDenied", () -> assumed.oss.deleteObject(bucket, "js/in/a"));
        URI url = assumed.oss.generatePresignedUrl(bucket, "js/in/a", in(60)).toURI();
        equal("token", fetched("GET", url, "").body());
        refused("InvalidSecurityToken", () -> client.as(id, secret, "nonsense").put("js/in/a", new byte[1]));
        refused("InvalidAccessKeyId", () -> client.as(id, secret, null).put("js/in/a", new byte[1]));
        client.clear("js/");
    }

    private static void deadToken(Official client) throws Throwable {
        URI create = URI.create(endpoint + "/api/upload-auth/create");
        String reply = fetched("POST", create, "{\"FileName\":\"dying.mp4\"}", "Content-Type", "application/json").body();
        String address = decoded(found("\"UploadAddress\":\"(.*?)\"", reply));
        String auth = decoded(found("\"UploadAuth\":\"(.*?)\"", reply));
        String key = found("\"FileName\":\"(.*?)\"", address);
        Official granted = client.as(found("\"AccessKeyId\":\"(.*?)\"", auth), found("\"AccessKeySecret\":\"(.*?)\"", auth),
                found("\"SecurityToken\":\"(.*?)\"", auth));
        granted.put(key, "in time".getBytes());
        refused("AccessDenied", () -> granted.read(key));
        long end = java.time.Instant.parse(found("\"ExpireUTCTime\":\"(.*?)\"", auth)).toEpochMilli();
        Thread.sleep(Math.max(0, end + 1000 - System.currentTimeMillis()));
        refused("SecurityTokenExpired", () -> granted.put(key, "late".getBytes()));
        equal("in time", new String(client.read(key)));
    }

    private static String decoded(String base64) {
        return new String(Base64.getDecoder().decode(base64), StandardCharsets.UTF_8);
    }

    private static void callback(Official client) throws Throwable {
        HttpServer application = HttpServer.create(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), 0), 0);
        int[] status = {200};
        String[] heard = {null};
        application.createContext("/", exchange -> {
            heard[0] = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
            byte[] answer = "{\"ok\":true}".getBytes();
            exchange.sendResponseHeaders(status[0], answer.length);
            exchange.getResponseBody().write(answer);
            exchange.close();
        });
        application.start();
        try {
            Callback callback = new Callback();
            callback.setCallbackUrl("http://127.0.0.1:" + application.getAddress().getPort() + "/told");
            callback.setCallbackBody("object=${object}&size=${size}&who=${x:who}");
            callback.setCalbackBodyType(Callback.CalbackBodyType.URL);
            callback.setCallbackVar(Map.of("x:who", "me"));
            PutObjectRequest put = new PutObjectRequest(bucket, "jb/a", new ByteArrayInputStream("12345".getBytes()));
            put.setCallback(callback);
            PutObjectResult result = client.oss.putObject(put);
            equal("{\"ok\":true}", new String(result.getResponse().getContent().readAllBytes()));
            result.getResponse().close();
            equal("object=jb%2Fa&size=5&who=me", heard[0]);
            status[0] = 500;
            put.setInputStream(new ByteArrayInputStream("12345".getBytes()));
            refused("CallbackFailed", () -> client.oss.putObject(put));
            equal("12345", new String(client.read("jb/a")));
        } finally {
            application.stop(0);
        }
        client.clear("jb/");
    }
}
