import java.io.PrintWriter;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.datagen.source.GeneratorFunction;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.table.api.Schema;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.types.Row;

/**
 * Runs one SQL query over columns in memory: {@code FlinkBench COLUMNS ROWS KIND LATE_SECONDS SQL OUTPUT}.
 *
 * COLUMNS holds, one after the other, the times in milliseconds, then for payments the keys and the
 * values, for ads the ads and the numbers of their kinds. OUTPUT gets the rows as CSV.
 */
public class FlinkBench {
    static final String[] KINDS = {"view", "click", "purchase"};
    static long[] times, first;
    static long[] second;
    static boolean ads;
    static final List<Row> rows = new ArrayList<>();

    static long[] column(ByteBuffer from, int size) {
        long[] found = new long[size];
        from.asLongBuffer().get(found);
        from.position(from.position() + size * 8);
        return found;
    }

    static Row at(int i) {
        Instant time = Instant.ofEpochMilli(times[i]);
        return ads
            ? Row.of(time, first[i], KINDS[(int) second[i]])
            : Row.of(time, first[i], Double.longBitsToDouble(second[i]));
    }

    static Row seen(Row row) {
        rows.add(Row.copy(row));
        return row;
    }

    static String text(Object value) {
        if (value instanceof LocalDateTime time) return "" + time.toInstant(ZoneOffset.UTC).toEpochMilli();
        if (value instanceof Instant time) return "" + time.toEpochMilli();
        return String.valueOf(value);
    }

    public static void main(String[] given) throws Exception {
        int size = Integer.parseInt(given[1]);
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(Path.of(given[0]))).order(ByteOrder.LITTLE_ENDIAN);
        times = column(bytes, size);
        first = column(bytes, size);
        second = column(bytes, size);
        ads = given[2].equals("ads");

        Configuration settings = new Configuration();
        settings.setString("table.local-time-zone", "UTC");
        settings.setString("pipeline.object-reuse", "true");
        settings.setString("parallelism.default", "1");
        settings.setString("taskmanager.memory.network.max", "64mb");
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(settings);
        StreamTableEnvironment tables = StreamTableEnvironment.create(env);
        TypeInformation<Row> type = ads
            ? Types.ROW_NAMED(new String[] {"at", "ad", "event"}, Types.INSTANT, Types.LONG, Types.STRING)
            : Types.ROW_NAMED(new String[] {"at", "key", "val"}, Types.INSTANT, Types.LONG, Types.DOUBLE);
        GeneratorFunction<Long, Row> make = i -> at(i.intValue());
        DataStream<Row> source = env.fromSource(
            new DataGeneratorSource<>(make, size, type), WatermarkStrategy.noWatermarks(), "rows", type);
        tables.createTemporaryView("data", source, Schema.newBuilder()
            .columnByExpression("ts", "CAST(`at` AS TIMESTAMP_LTZ(3))")
            .watermark("ts", "ts - INTERVAL '" + given[3] + "' SECOND")
            .build());
        tables.toDataStream(tables.sqlQuery(given[4]))
            .map(FlinkBench::seen).returns(Types.GENERIC(Row.class))
            .sinkTo(new DiscardingSink<>());
        env.execute();

        try (PrintWriter out = new PrintWriter(given[5])) {
            for (Row row : rows) {
                StringBuilder line = new StringBuilder();
                for (int i = 0; i < row.getArity(); i++) {
                    line.append(i == 0 ? "" : ",").append(text(row.getField(i)));
                }
                out.println(line);
            }
        }
    }
}
