import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** Eight tasks in eight threads, each of which allocates and drops many objects. */
public class Tasks {
    public static void main(String[] arguments) throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(8);
        List<Callable<Long>> tasks = new ArrayList<>();
        for (int task = 0; task < 8; task++) {
            int seed = task;
            tasks.add(() -> {
                long sum = 0;
                for (int round = 0; round < 40; round++) {
                    List<String> words = new ArrayList<>();
                    for (int word = 0; word < 5000; word++) {
                        words.add(Integer.toString(word * 31 + round + seed));
                    }
                    for (String word : words) {
                        sum += word.length();
                    }
                }
                return sum;
            });
        }
        long sum = 0;
        for (Future<Long> result : threads.invokeAll(tasks)) {
            sum += result.get();
        }
        threads.shutdown();
        System.out.println(sum);
    }
}
