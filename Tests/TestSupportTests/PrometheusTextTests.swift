import TestSupport
import Testing

@Suite struct PrometheusTextTests {
    private static let histogram = """
        # HELP h_seconds Text.
        # TYPE h_seconds histogram
        h_seconds_bucket{a="b",le="1"} 1
        h_seconds_bucket{a="b",le="+Inf"} 2
        h_seconds_sum{a="b"} 2.5
        h_seconds_count{a="b"} 2

        """

    @Test func whatIsRight() {
        let text = PrometheusText(
            Self.histogram
                + "# HELP c_total Text.\n# TYPE c_total counter\nc_total{a=\"\\\"x\\\\\"} 1\nc_total{a=\"y\"} 0\n")
        #expect(text.problems == [])
        #expect(text["h_seconds_count", ["a": "b"]] == 2)
        #expect(text["c_total", ["a": "y"]] == 0)
    }

    @Test(arguments: [
        "g 1\n", "# TYPE g gauge\ng 1\n", "# HELP g\n# TYPE g gauge\ng 1\n", "# HELP g G.\n# TYPE h gauge\nh 1\n",
        "# HELP g G.\n# TYPE g gauge\nh 1\n", "# HELP g G.\n# TYPE g gouge\ng 1\n",
        "# HELP g G.\n# TYPE g counter\ng 1\n", "# HELP g_total G.\n# TYPE g_total gauge\ng_total 1\n",
        "# HELP g G.\n# TYPE g gauge\ng 1\ng 1\n", "# HELP g G.\n# TYPE g gauge\ng 1",
        "# HELP g G.\n# TYPE g gauge\ng 1\n# HELP h H.\n# TYPE h gauge\ng{a=\"1\"} 1\n",
        "# HELP g G.\n# TYPE g gauge\ng 1\n# HELP g G.\n# TYPE g gauge\ng{a=\"1\"} 1\n",
        "# HELP g G.\n# TYPE g gauge\ng one\n", "# HELP g G.\n# TYPE g gauge\ng{a=1} 1\n",
        "# HELP g G.\n# TYPE g gauge\ng{a=\"1\",} 1\n", "# HELP g G.\n# TYPE g gauge\ng{a=\"1\",a=\"2\"} 1\n",
        "# HELP g G.\n# TYPE g gauge\ng{a=\"\"\"} 1\n", "# HELP g G.\n# TYPE g gauge\n\ng 1\n",
        "# HELP c_total G.\n# TYPE c_total counter\nc_total -1\n",
        histogram.replacing("+Inf", with: "2"), histogram.replacing("_count{a=\"b\"} 2", with: "_count{a=\"b\"} 3"),
        histogram.replacing("h_seconds_sum{a=\"b\"} 2.5\n", with: ""),
        histogram.replacing("le=\"1\"} 1", with: "le=\"1\"} 3"),
    ])
    func whatIsWrong(_ text: String) { #expect(PrometheusText(text).problems != []) }
}
