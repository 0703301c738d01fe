# Reference numbers for tests/cohort from R; run in this folder:  Rscript reference.R
# Needs R >= 4.2 with the packages lme4, MASS and survival. Writes reference.csv (name, value).
# cases.csv is made up; the other data are short published examples, quoted in the tests.
suppressPackageStartupMessages({library(lme4); library(survival)})
out <- list()
put <- function(name, value) out[[name]] <<- as.numeric(value)
wilcoxon <- function(name, x, y, exact = NULL) {
  w <- suppressWarnings(wilcox.test(x, y, conf.int = TRUE, exact = exact))
  put(paste0(name, "_p"), w$p.value); put(paste0(name, "_shift"), w$estimate)
  put(paste0(name, "_low"), w$conf.int[1]); put(paste0(name, "_high"), w$conf.int[2])
}
# Hollander and Wolfe (1973), p. 69: permeability of the human chorioamnion.
wilcoxon("permeability", c(0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46),
         c(1.15, 0.88, 0.90, 0.74, 1.21))
# Hess and Kromrey (2004), as in the documentation of effsize: tied values.
wilcoxon("tied", c(10, 10, 20, 20, 20, 30, 30, 30, 40, 50), c(10, 20, 30, 40, 40, 50))
cases <- read.csv("cases.csv", stringsAsFactors = TRUE)
by_group <- split(cases$y, cases$group)
wilcoxon("cases_exact", by_group$a, by_group$b, TRUE)
wilcoxon("cases_normal", by_group$a, by_group$b, FALSE)
wilcoxon("cases_rounded", round(by_group$a), round(by_group$b))
put("kruskal_p", kruskal.test(y ~ group, cases)$p.value)
put("kruskal_statistic", kruskal.test(y ~ group, cases)$statistic)
holm <- p.adjust(c(0.01, 0.04, 0.03, 0.005, 0.2), "holm")
for (i in 1:5) put(paste0("holm_", i), holm[i])
mixed <- lmer(y ~ group + age + (1 | surgeon), cases, REML = TRUE)
for (term in names(fixef(mixed))) {
  put(paste0("mixed_", term), fixef(mixed)[term])
  put(paste0("mixed_se_", term), sqrt(diag(vcov(mixed)))[match(term, names(fixef(mixed)))])
}
put("mixed_surgeon_sd", sqrt(VarCorr(mixed)$surgeon[1])); put("mixed_residual_sd", sigma(mixed))
curve <- survfit(Surv(duration_s, is_cleared) ~ 1, cases, subset = group == "a")
at <- summary(curve, times = c(30, 60, 120))
for (i in 1:3) put(paste0("km_", c(30, 60, 120)[i]), at$surv[i])
put("km_at_risk_60", at$n.risk[2])
put("km_rmst_180", survival:::survmean(curve, rmean = 180)$matrix["rmean"])
put("km_median", survival:::survmean(curve, rmean = 180)$matrix["median"])
# Accelerated failure time, log-normal, cases of a surgeon as one cluster. R's robust variance leaves
# weights out, so errors are compared without.
weighted <- survreg(Surv(duration_s, is_cleared) ~ group, cases, weights = age / 60,
                    dist = "lognormal")
times <- survreg(Surv(duration_s, is_cleared) ~ group, cases, dist = "lognormal",
                 cluster = surgeon)
for (term in names(coef(times))) {
  put(paste0("aft_weighted_", term), coef(weighted)[term])
  put(paste0("aft_", term), coef(times)[term])
  put(paste0("aft_se_", term), sqrt(diag(vcov(times)))[term])
}
put("aft_sd", times$scale)
robust <- MASS::rlm(y ~ group + age, cases, k = 1.345, maxit = 500, acc = 1e-12)
for (term in names(coef(robust))) put(paste0("huber_", term), coef(robust)[term])
put("spearman", cor(cases$y, cases$age, method = "spearman"))
# Numbers of a binomial with which the funnel limit of Spiegelhalter (2005) is interpolated.
for (p in c(0.001, 0.025, 0.975, 0.999)) {
  r <- qbinom(p, 143, 397 / 3319)
  f <- (pbinom(r, 143, 397 / 3319) - p) / (pbinom(r, 143, 397 / 3319) - pbinom(r - 1, 143, 397 / 3319))
  put(paste0("funnel_143_", p), (r - f) / 143)
}
write.csv(data.frame(name = names(out), value = format(unlist(out), digits = 15)),
          "reference.csv", row.names = FALSE, quote = FALSE)
