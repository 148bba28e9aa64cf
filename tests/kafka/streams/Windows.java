import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.TestInputTopic;
import org.apache.kafka.streams.TestOutputTopic;
import org.apache.kafka.streams.TopologyTestDriver;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.Suppressed.BufferConfig;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.Windowed;

/**
 * Counts rows ("key,milliseconds" on each line of standard input) in windows of Kafka Streams, each
 * window once, when it has closed: "kind,key,start,end,count" on each line of standard output.
 *
 * <p>Arguments, in milliseconds: grace, tumbling size, hopping size, hopping step, session gap.
 */
public class Windows {
  static final Materialized.StoreType MEMORY = Materialized.StoreType.IN_MEMORY;

  static void fire(String kind, KTable<Windowed<String>, Long> counts) {
    counts
        .suppress(Suppressed.untilWindowCloses(BufferConfig.unbounded()))
        .toStream()
        .map(
            (at, n) -> {
              String bounds = at.window().start() + "," + at.window().end();
              return KeyValue.pair(kind, kind + "," + at.key() + "," + bounds + "," + n);
            })
        .to("windows", Produced.with(Serdes.String(), Serdes.String()));
  }

  public static void main(String[] arguments) throws Exception {
    Duration[] given = new Duration[arguments.length];
    for (int i = 0; i < arguments.length; i++) {
      given[i] = Duration.ofMillis(Long.parseLong(arguments[i]));
    }
    StreamsBuilder builder = new StreamsBuilder();
    KGroupedStream<String, String> rows =
        builder.stream("rows", Consumed.with(Serdes.String(), Serdes.String())).groupByKey();
    fire(
        "tumbling",
        rows.windowedBy(TimeWindows.ofSizeAndGrace(given[1], given[0]))
            .count(Materialized.as(MEMORY)));
    fire(
        "hopping",
        rows.windowedBy(TimeWindows.ofSizeAndGrace(given[2], given[0]).advanceBy(given[3]))
            .count(Materialized.as(MEMORY)));
    fire(
        "session",
        rows.windowedBy(SessionWindows.ofInactivityGapAndGrace(given[4], given[0]))
            .count(Materialized.as(MEMORY)));

    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "windows");
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, "nowhere:1");
    settings.put(StreamsConfig.STATE_DIR_CONFIG, System.getProperty("java.io.tmpdir"));
    settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
    settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
    try (TopologyTestDriver driver = new TopologyTestDriver(builder.build(), settings)) {
      TestInputTopic<String, String> input =
          driver.createInputTopic("rows", new StringSerializer(), new StringSerializer());
      TestOutputTopic<String, String> output =
          driver.createOutputTopic("windows", new StringDeserializer(), new StringDeserializer());
      BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        String[] parts = line.split(",");
        input.pipeInput(parts[0], "", Long.parseLong(parts[1]));
      }
      StringBuilder all = new StringBuilder();
      for (String fired : output.readValuesToList()) {
        all.append(fired).append('\n');
      }
      System.out.print(all);
    }
  }
}
