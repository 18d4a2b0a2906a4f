package io.github.ppmlops.spark;

import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.atomic.AtomicInteger;

/** Lets a test call package-private classes without Spark. */
public final class Probe {
    private Probe() {
    }

    /** Commands: fill; canonical; race FOLDER THREADS ROUNDS; decode. */
    public static void main(String[] arguments) throws Exception {
        switch (arguments[0]) {
            case "fill": fill(); break;
            case "canonical": canonical(); break;
            case "decode": decode(); break;
            default:
                race(Path.of(arguments[1]), Integer.parseInt(arguments[2]), Integer.parseInt(arguments[3]));
        }
    }

    private static void fill() {
        try {
            KeyRing.fill(System.getenv());
            System.out.println(KeyRing.isFilled());
        } catch (Refusal refusal) {
            System.err.println(refusal.getMessage());
            System.exit(refusal.code());
        }
    }

    /** One hex document a line; answers with the hex of its canonical form, or "refused". */
    private static void canonical() throws Exception {
        for (String line : new String(System.in.readAllBytes()).lines().toList()) {
            try {
                byte[] document = HexFormat.of().parseHex(line);
                System.out.println(HexFormat.of().formatHex(CanonicalJson.encode(CanonicalJson.parse(document))));
            } catch (java.io.IOException refused) {
                System.out.println("refused");
            }
        }
    }

    /** One hex manifest a line, data set "people", key of zeros; answers "ok" or why not. */
    private static void decode() throws Exception {
        SealedCipher cipher = new SealedCipher(new byte[32], "people");
        Binding binding = Binding.reading("people", "ab".repeat(32), cipher, List.of(), 1, null);
        for (String line : new String(System.in.readAllBytes()).lines().toList()) {
            try {
                ManifestCodec.decode(HexFormat.of().parseHex(line), binding, binding.trustDomain());
                System.out.println("ok");
            } catch (java.io.IOException refused) {
                System.out.println(refused.getMessage());
            }
        }
    }

    /** Prints the number of rounds in which more or less than one thread published. */
    private static void race(Path folder, int threads, int rounds) throws Exception {
        CyclicBarrier start = new CyclicBarrier(threads);
        AtomicInteger[] winners = new AtomicInteger[rounds];
        List<Thread> running = new ArrayList<>();
        for (int round = 0; round < rounds; round++) {
            winners[round] = new AtomicInteger();
        }
        for (int number = 0; number < threads; number++) {
            byte[] content = ("writer " + number).getBytes();
            Thread thread = new Thread(() -> {
                for (int round = 0; round < rounds; round++) {
                    try {
                        start.await();
                        ManifestStore.createOnly(folder.resolve("_manifest/" + round + ".json"), content);
                        winners[round].incrementAndGet();
                    } catch (FileAlreadyExistsException lost) {
                        continue;
                    } catch (Exception error) {
                        error.printStackTrace();
                    }
                }
            });
            running.add(thread);
            thread.start();
        }
        for (Thread thread : running) {
            thread.join();
        }
        int wrong = 0;
        for (AtomicInteger count : winners) {
            wrong += count.get() == 1 ? 0 : 1;
        }
        System.out.println(wrong);
    }
}
