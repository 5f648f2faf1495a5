import java.util.*;

/** Fills the heap, has threads that wait, and waits itself. */
public class Heaps {
    public static void main(String[] words) throws Exception {
        List<byte[]> blocks = new ArrayList<>();
        for (int i = 0; i < 100; i++) blocks.add(new byte[100_000]);
        Map<Integer, String> map = new HashMap<>();
        for (int i = 0; i < 50_000; i++) map.put(i, "s" + i);
        for (int i = 0; i < 4; i++) {
            Thread thread = new Thread(() -> {
                try {
                    Thread.sleep(1_000_000);
                } catch (InterruptedException end) {
                }
            });
            thread.setDaemon(true);
            thread.start();
        }
        System.gc();
        System.out.println("ready");
        System.in.read();
        System.out.println(blocks.size() + map.size());
    }
}
