/* A slower disk: each fsync and fdatasync takes longer by as many microseconds as the file that SLOW_FSYNC names says, as the digits it
   begins with. For LD_PRELOAD. The file is mapped, so that it can be changed while programs run, and looking at it costs nothing. */

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile char *said;

__attribute__((constructor)) static void open_file(void) {
  const char *name = getenv("SLOW_FSYNC");
  int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *mapped = mmap(NULL, 16, PROT_READ, MAP_SHARED, file, 0);
  if (mapped != MAP_FAILED) said = mapped;
  close(file);
}

static void wait_longer(void) {
  long micros = 0;
  for (int i = 0; said && i < 6 && said[i] >= '0' && said[i] <= '9'; i++) micros = micros * 10 + (said[i] - '0');
  if (micros == 0) return;
  struct timespec time = {micros / 1000000, micros % 1000000 * 1000};
  nanosleep(&time, NULL);
}

int fsync(int file) {
  int result = (int)syscall(SYS_fsync, file);
  wait_longer();
  return result;
}

int fdatasync(int file) {
  int result = (int)syscall(SYS_fdatasync, file);
  wait_longer();
  return result;
}
