/// What a run's folder tells, as one HTML page without scripts or requests.
@NullMarked
package dev.gatun.report;

import org.jspecify.annotations.NullMarked;
