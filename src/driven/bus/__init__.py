"""Order among commands; main process only. Nothing here knows processes, bytes in shared memory, or sockets."""
