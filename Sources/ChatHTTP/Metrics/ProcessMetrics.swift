import Foundation

/// The process metrics of all Prometheus clients, under their usual names.
struct ProcessMetrics {
    /// Seconds since 1970.
    private let start = Date().timeIntervalSince1970

    /// The operating system's numbers about the process; macOS has fewer of them.
    func readings() -> [(name: String, reading: PrometheusReading)] {
        var readings: [(name: String, reading: PrometheusReading)] = []
        func add(_ name: String, _ value: Double?, as type: String = "gauge") {
            if let value { readings.append((name, PrometheusReading(type: type, value: value))) }
        }
        add("process_cpu_seconds_total", processorTime, as: "counter")
        let memory = memory
        add("process_virtual_memory_bytes", memory?.virtual)
        add("process_resident_memory_bytes", memory?.resident)
        add("process_open_fds", openFiles)
        add("process_max_fds", maxOpenFiles)
        add("process_start_time_seconds", start)
        return readings
    }

    private var processorTime: Double? {
        var time = timespec()
        guard clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 else { return nil }
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// proc_pid_statm(5): the number of all pages and of those in memory.
    private var memory: (virtual: Double, resident: Double)? {
        guard let line = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return nil }
        let pages = line.split(separator: " ").prefix(2).compactMap { Double($0) }
        let size = Double(sysconf(CInt(_SC_PAGESIZE)))
        return pages.count == 2 ? (pages[0] * size, pages[1] * size) : nil
    }

    private var openFiles: Double? {
        #if canImport(Darwin)
            let path = "/dev/fd"
        #else
            let path = "/proc/self/fd"
        #endif
        guard let folder = opendir(path) else { return nil }
        defer { closedir(folder) }
        var count = 0
        while readdir(folder) != nil { count += 1 }
        // Without `.`, `..`, and the descriptor that reads the folder.
        return Double(count - 3)
    }

    private var maxOpenFiles: Double? {
        var limit = rlimit()
        guard getrlimit(.init(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return nil }
        return Double(limit.rlim_cur)
    }
}
