/* A liblsl outlet or inlet for the latency benchmark.
 *
 *   client LIBRARY outlet NAME CHANNELS RATE SAMPLES CONSUMERS   RATE 0 = as fast as it goes
 *   client LIBRARY inlet  NAME SAMPLES SECONDS
 *
 * The outlet stamps every sample with the clock at the push and numbers it in
 * channel 0; a last sample numbered -1 ends the run. The inlet's latency is the
 * clock at the return of the pull minus the stamp. One line of JSON comes out.
 * Build: cc -O2 lsl.c -ldl -lm -o client
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

typedef void *obj;
static obj (*create_info)(const char *, const char *, int32_t, double, int, const char *);
static obj (*create_outlet)(obj, int32_t, int32_t);
static int32_t (*push)(obj, const float *, double);
static int32_t (*have)(obj);
static double (*now)(void);
static int32_t (*resolve)(obj *, uint32_t, const char *, const char *, int32_t, double);
static obj (*create_inlet)(obj, int32_t, int32_t, int32_t);
static void (*open_stream)(obj, double, int32_t *);
static double (*pull)(obj, float *, int32_t, double, int32_t *);
static int32_t (*count)(obj);
static void (*destroy_outlet)(obj);

static double cpu(void) {
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return u.ru_utime.tv_sec + u.ru_stime.tv_sec + 1e-6 * (u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static int order(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void wait_line(void) {
	char line[64];
	if (!fgets(line, sizeof line, stdin)) exit(1);
}

static int outlet(char **v) {
	int channels = atoi(v[1]);
	double rate = atof(v[2]);
	long n = atol(v[3]);
	obj o = create_outlet(create_info(v[0], "EEG", channels, rate > 0 ? rate : 10000, 1, v[0]), 0, 360);
	printf("{\"ready\":true}\n");
	fflush(stdout);
	wait_line(); /* the inlets say that they are open */
	while (!have(o)) usleep(1000);
	usleep(300000);
	float *s = calloc(channels, sizeof *s);
	double c0 = cpu(), begun = now();
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	double t0 = t.tv_sec + 1e-9 * t.tv_nsec;
	for (long k = 0; k < n; k++) {
		if (rate > 0) {
			double at = t0 + k / rate;
			t.tv_sec = (time_t)at;
			t.tv_nsec = (long)((at - floor(at)) * 1e9);
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
		}
		s[0] = (float)k;
		push(o, s, now());
	}
	double took = now() - begun, used = cpu() - c0;
	usleep(200000);
	s[0] = -1;
	push(o, s, now());
	printf("{\"n\":%ld,\"seconds\":%.6f,\"cpu\":%.6f}\n", n, took, used);
	fflush(stdout);
	wait_line();
	destroy_outlet(o);
	return 0;
}

static int inlet(char **v) {
	long n = atol(v[1]);
	double limit = atof(v[2]);
	obj info;
	int32_t ec = 0;
	if (resolve(&info, 1, "name", v[0], 1, 10) < 1) return 1;
	int channels = count(info);
	obj in = create_inlet(info, 360, 0, 1);
	open_stream(in, 5, &ec);
	printf("{\"ready\":true}\n");
	fflush(stdout);
	float *s = calloc(channels, sizeof *s);
	double *lat = malloc((n + 1) * sizeof *lat);
	long got = 0, jumps = 0, last = -1;
	double c0 = cpu(), first = 0, final = 0, end = now() + limit;
	while (now() < end) {
		double stamp = pull(in, s, channels, 1.0, &ec);
		if (stamp == 0) continue;
		double t = now();
		if (s[0] < 0) break;
		if (got == 0) c0 = cpu(), first = t;
		final = t;
		if ((long)s[0] != last + 1) jumps++;
		last = (long)s[0];
		if (got < n) lat[got] = t - stamp;
		got++;
	}
	double used = cpu() - c0;
	long m = got < n ? got : n;
	qsort(lat, m, sizeof *lat, order);
	if (m == 0) m = 1, lat[0] = NAN;
	printf("{\"n\":%ld,\"jumps\":%ld,\"seconds\":%.6f,\"cpu\":%.6f,\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f}\n", got, jumps,
	       final - first, used, lat[m / 2] * 1e6, lat[m * 90 / 100] * 1e6, lat[m * 99 / 100] * 1e6, lat[(long)(m * 0.999)] * 1e6, lat[m - 1] * 1e6);
	fflush(stdout);
	_exit(0);
}

int main(int c, char **v) {
	if (c < 6) return 2;
	void *l = dlopen(v[1], RTLD_NOW);
	if (!l) {
		fprintf(stderr, "%s\n", dlerror());
		return 2;
	}
#define GET(f, name) *(void **)&f = dlsym(l, name)
	GET(create_info, "lsl_create_streaminfo");
	GET(create_outlet, "lsl_create_outlet");
	GET(push, "lsl_push_sample_ft");
	GET(have, "lsl_have_consumers");
	GET(now, "lsl_local_clock");
	GET(resolve, "lsl_resolve_byprop");
	GET(create_inlet, "lsl_create_inlet");
	GET(open_stream, "lsl_open_stream");
	GET(pull, "lsl_pull_sample_f");
	GET(count, "lsl_get_channel_count");
	GET(destroy_outlet, "lsl_destroy_outlet");
	return strcmp(v[2], "outlet") == 0 ? outlet(v + 3) : inlet(v + 3);
}
