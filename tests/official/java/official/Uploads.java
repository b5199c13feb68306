package official;

import static official.Official.PART;
import static official.Official.bucket;
import static official.Official.equal;
import static official.Official.holds;
import static official.Official.md5;
import static official.Official.noise;
import static official.Official.refused;
import static official.Official.same;

import com.aliyun.oss.event.ProgressEventType;
import com.aliyun.oss.model.AbortMultipartUploadRequest;
import com.aliyun.oss.model.CompleteMultipartUploadRequest;
import com.aliyun.oss.model.DownloadFileRequest;
import com.aliyun.oss.model.InitiateMultipartUploadRequest;
import com.aliyun.oss.model.ListPartsRequest;
import com.aliyun.oss.model.MultipartUpload;
import com.aliyun.oss.model.PartETag;
import com.aliyun.oss.model.PartListing;
import com.aliyun.oss.model.UploadFileRequest;
import com.aliyun.oss.model.UploadPartCopyRequest;
import com.aliyun.oss.model.UploadPartRequest;
import com.aliyun.oss.model.WebServiceRequest;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/** Multipart uploads: by hand, and by files that are interrupted and go on from their checkpoints. */
final class Uploads {
    static final List<Official.Check> CHECKS = List.of(
            new Official.Check("multipart by hand", Uploads::byHand),
            new Official.Check("parts of a sequential upload keep their order", Uploads::sequential),
            new Official.Check("interrupted voyages go on from their checkpoints", Uploads::resumed));

    private static void byHand(Official client) throws Throwable {
        byte[] data = noise(2 * PART + 7, 10);
        String id = begin(client, "jm/a b.mp4");
        List<PartETag> parts = new ArrayList<>();
        for (int number = 1; number <= 3; number++) {
            byte[] piece = Arrays.copyOfRange(data, (number - 1) * PART, Math.min(number * PART, data.length));
            PartETag part = upload(client, "jm/a b.mp4", id, number, piece);
            equal(md5(piece), part.getETag());
            parts.add(part);
        }
        ListPartsRequest request = new ListPartsRequest(bucket, "jm/a b.mp4", id);
        request.setMaxParts(2);
        PartListing page = client.oss.listParts(request);
        equal(List.of(2, true, 2), List.of(page.getParts().size(), page.isTruncated(), page.getNextPartNumberMarker()));
        equal(List.of(id), client.uploads("jm/").stream().map(MultipartUpload::getUploadId).toList());
        PartETag wrong = new PartETag(1, parts.get(1).getETag());
        refused("InvalidPart", () -> complete(client, "jm/a b.mp4", id, List.of(wrong)));
        complete(client, "jm/a b.mp4", id, parts);
        same(data, client.read("jm/a b.mp4"));
        refused("NoSuchUpload", () -> upload(client, "jm/a b.mp4", id, 1, data));

        String copied = begin(client, "jm/copy");
        UploadPartCopyRequest copy = new UploadPartCopyRequest(bucket, "jm/a b.mp4", bucket, "jm/copy", copied, 1, 10L, 100L);
        complete(client, "jm/copy", copied, List.of(client.oss.uploadPartCopy(copy).getPartETag()));
        same(Arrays.copyOfRange(data, 10, 110), client.read("jm/copy"));
        String gone = begin(client, "jm/gone");
        client.oss.abortMultipartUpload(new AbortMultipartUploadRequest(bucket, "jm/gone", gone));
        refused("NoSuchUpload", () -> client.oss.listParts(new ListPartsRequest(bucket, "jm/gone", gone)));
        client.clear("jm/");
    }

    private static void sequential(Official client) throws Throwable {
        byte[] data = noise(2 * PART + 7, 12);
        InitiateMultipartUploadRequest request = new InitiateMultipartUploadRequest(bucket, "jq/row");
        request.setSequentialMode(true);
        String id = client.oss.initiateMultipartUpload(request).getUploadId();
        List<PartETag> parts = new ArrayList<>();
        for (int number = 1; number <= 3; number++) {
            int now = number;
            byte[] piece = Arrays.copyOfRange(data, (number - 1) * PART, Math.min(number * PART, data.length));
            refused("PartNotSequential", () -> upload(client, "jq/row", id, now + 1, piece));
            parts.add(upload(client, "jq/row", id, number, piece));
            refused("PartAlreadyExist", () -> upload(client, "jq/row", id, now, piece));
        }
        complete(client, "jq/row", id, parts);
        same(data, client.read("jq/row"));
        String sum = Base64.getEncoder().encodeToString(HexFormat.of().parseHex(md5(data)));
        equal(sum, client.oss.getObjectMetadata(bucket, "jq/row").getContentMD5());
        client.clear("jq/");
    }

    private static String begin(Official client, String key) {
        return client.oss.initiateMultipartUpload(new InitiateMultipartUploadRequest(bucket, key)).getUploadId();
    }

    private static PartETag upload(Official client, String key, String id, int number, byte[] data) {
        ByteArrayInputStream stream = new ByteArrayInputStream(data);
        return client.oss.uploadPart(new UploadPartRequest(bucket, key, id, number, stream, data.length)).getPartETag();
    }

    private static void complete(Official client, String key, String id, List<PartETag> parts) {
        // The SDK sorts what it is given.
        client.oss.completeMultipartUpload(new CompleteMultipartUploadRequest(bucket, key, id, new ArrayList<>(parts)));
    }

    /** Runs a transfer until so many bytes have moved, and then never on, as in a process that died. */
    private static void halfway(WebServiceRequest request, ProgressEventType counted, int bytes, Official.Call transfer) throws Exception {
        CountDownLatch reached = new CountDownLatch(1);
        long[] moved = {0};
        request.setProgressListener(event -> {
            if (event.getEventType() == counted && (moved[0] += event.getBytes()) >= bytes) {
                reached.countDown();
                for (;;) {
                    LockSupport.park();
                }
            }
        });
        Thread thread = new Thread(() -> {
            try {
                transfer.make();
            } catch (Throwable unheard) {
                // Nobody waits for it.
            }
        });
        thread.setDaemon(true);
        thread.start();
        holds(reached.await(60, TimeUnit.SECONDS), "the transfer came nowhere");
    }

    private static void resumed(Official client) throws Throwable {
        byte[] data = noise(12 * PART + 123, 11);
        Path folder = Files.createTempDirectory("official-java");
        try {
            Path file = Files.write(folder.resolve("movie.mp4"), data);
            UploadFileRequest up = upload(file, folder);
            halfway(up, ProgressEventType.REQUEST_BYTE_TRANSFER_EVENT, 5 * PART, () -> client.oss.uploadFile(up));
            holds(!client.oss.doesObjectExist(bucket, "jr/movie"), "there is no object yet");
            List<MultipartUpload> open = client.uploads("jr/");
            equal(1, open.size());
            ListPartsRequest parts = new ListPartsRequest(bucket, "jr/movie", open.get(0).getUploadId());
            int held = client.oss.listParts(parts).getParts().size();
            holds(held >= 3 && held < 13, held + " parts are held");

            // Were it begun anew, the first upload would stay.
            client.anew().oss.uploadFile(upload(file, folder));
            equal(List.of(), client.uploads("jr/"));
            same(data, client.read("jr/movie"));

            File back = folder.resolve("back").toFile();
            DownloadFileRequest down = download(back, folder);
            halfway(down, ProgressEventType.RESPONSE_BYTE_TRANSFER_EVENT, 5 * PART, () -> client.oss.downloadFile(down));
            client.anew().oss.downloadFile(download(back, folder));
            same(data, Files.readAllBytes(back.toPath()));
        } finally {
            for (File file : folder.toFile().listFiles()) {
                file.delete();
            }
            Files.delete(folder);
        }
        client.clear("jr/");
    }

    private static UploadFileRequest upload(Path file, Path folder) {
        return new UploadFileRequest(bucket, "jr/movie", file.toString(), PART, 1, true, folder.resolve("up.cp").toString());
    }

    private static DownloadFileRequest download(File file, Path folder) {
        return new DownloadFileRequest(bucket, "jr/movie", file.toString(), PART, 1, true, folder.resolve("down.cp").toString());
    }
}
