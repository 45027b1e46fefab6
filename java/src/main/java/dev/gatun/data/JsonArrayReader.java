package dev.gatun.data;

import dev.gatun.InputException;
import java.io.InputStream;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.TokenStreamLocation;

/// One JSON array of objects, read object by object.
final class JsonArrayReader implements RowReader {
  private final String file;
  private final InputStream in;
  private final JsonParser parser;
  private long rows;
  private boolean ended;

  /// @param in closed with the reader
  JsonArrayReader(String file, InputStream in) {
    this.file = file;
    this.in = in;
    try {
      parser = JsonRows.FACTORY.createParser(ObjectReadContext.empty(), in);
      if (parser.nextToken() != JsonToken.START_ARRAY) {
        throw new InputException(file + " must hold a JSON array of objects.");
      }
    } catch (JacksonException e) {
      throw malformed(e);
    }
  }

  @Override
  public @Nullable Row next() {
    if (ended) {
      return null;
    }
    try {
      JsonToken token = parser.nextToken();
      if (token == JsonToken.END_ARRAY) {
        ended = true;
        if (parser.nextToken() != null) {
          throw new InputException(file + ": text follows the JSON array.");
        }
        return null;
      }
      rows++;
      if (token != JsonToken.START_OBJECT) {
        throw JsonRows.notAnObject(file + " row " + rows, token);
      }
      return new Row(file, "row", rows, JsonRows.columns(parser));
    } catch (JacksonException e) {
      throw malformed(e);
    }
  }

  private InputException malformed(JacksonException e) {
    TokenStreamLocation location = e.getLocation();
    String line = location == null ? "" : " line " + location.getLineNr();
    return new InputException(
        "%s%s is not valid JSON: %s".formatted(file, line, JsonRows.reason(e)), e);
  }

  @Override
  public void close() {
    DataFile.close(in);
  }
}
