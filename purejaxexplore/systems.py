"""What the package can run: the tables behind ``purejaxexplore list``, which imports none of it."""

SYSTEMS: dict[str, tuple[str, str]] = {
    "adversarial_surprise": (
        "purejaxexplore.learners.adversarial_surprise",
        "two policies take turns in one body: one seeks surprise for the other, which shuns it",
    ),
    "backward": (
        "purejaxexplore.go_explore.backward",
        "Go-Explore's second phase: demonstrations become a policy that survives noise",
    ),
    "bandit": (
        "purejaxexplore.bandits.bandit",
        "any bandit policy in any bandit world: UCB, Thompson, IDS, EXP3, LUCB ...; see purejaxexplore.bandits",
    ),
    "bayes_opt": (
        "purejaxexplore.bandits.bayes_opt",
        "Bayesian optimisation by asynchronous workers: AEGiS, GP-UCB, Thompson sampling, expected improvement",
    ),
    "cma_mae": (
        "purejaxexplore.quality_diversity.cma_mae",
        "CMA-ES emitters ranked by thresholds that are annealed towards the elites",
    ),
    "cma_me": (
        "purejaxexplore.quality_diversity.cma_me",
        "CMA-ES emitters ranked by how much they improve an archive",
    ),
    "cma_mega": (
        "purejaxexplore.quality_diversity.cma_mega",
        "gradients of fitness and descriptor, their coefficients searched by CMA-ES",
    ),
    "contextual_double_design": (
        "purejaxexplore.bandits.contextual_double_design",
        "C-DouExpDes: good policies for contextual linear bandits that share a representation",
    ),
    "ddpg": (
        "purejaxexplore.learners.ddpg",
        "continuous actions: twin critics, n steps, falling noise, and DrM's thermostat of dormant units",
    ),
    "deep_ga": (
        "purejaxexplore.learners.deep_ga",
        "mutation and truncation selection on network weights, by reward or by novelty",
    ),
    "dgm": (
        "purejaxexplore.go_explore.dgm",
        "keep every variant, and return to good ones that had few children",
    ),
    "double_design": (
        "purejaxexplore.bandits.double_design",
        "DouExpDes: the best arms of linear bandits that share a representation",
    ),
    "dqn": (
        "purejaxexplore.learners.dqn",
        "double n-step DQN with any number of reward streams, and ensembles with randomised priors",
    ),
    "explorllm": (
        "purejaxexplore.learners.explorllm",
        "a program over detected objects acts some of the time, and an agent learns to correct it",
    ),
    "flex": (
        "purejaxexplore.learners.flex",
        "identify a system by the inputs that are most informative one step ahead",
    ),
    "exploratory_iteration": (
        "purejaxexplore.go_explore.exploratory_iteration",
        "ExIt: single turns of self-improvement from a buffer of partial histories",
    ),
    "go_explore": (
        "purejaxexplore.go_explore.explore",
        "return to a promising cell of an archive, then explore",
    ),
    "imitation": ("purejaxexplore.go_explore.imitation", "maximum-likelihood imitation of demonstrations"),
    "intelligent_go_explore": (
        "purejaxexplore.go_explore.intelligent",
        "a judge picks the state to return to, the action, and what to keep",
    ),
    "lesson": (
        "purejaxexplore.learners.lesson",
        "options that act at random, persistently, by curiosity or by the task's values, learned with both rewards",
    ),
    "latent_go_explore": (
        "purejaxexplore.go_explore.latent",
        "Go-Explore without cells: explore from states whose learned embedding is rare",
    ),
    "latent_policy_go_explore": (
        "purejaxexplore.go_explore.latent_policy",
        "latent Go-Explore without restored states: a goal-conditioned policy walks to the rare ones",
    ),
    "lfg": (
        "purejaxexplore.learners.lfg",
        "votes on clusters of frontiers as a heuristic of the search for a thing",
    ),
    "map_elites": (
        "purejaxexplore.quality_diversity.map_elites",
        "the best solution of every cell of a descriptor space, varied at random",
    ),
    "myopic_multitask": (
        "purejaxexplore.learners.myopic",
        "epsilon-greedy on diverse tasks that share a model: each explores for the others",
    ),
    "policy_go_explore": (
        "purejaxexplore.go_explore.policy_based",
        "a goal-conditioned policy returns along stored routes, then explores: nothing is restored",
    ),
    "ppo": ("purejaxexplore.learners.ppo", "proximal policy optimization with any number of reward streams"),
    "random_policy": (
        "purejaxexplore.learners.random_policy",
        "uniform actions, the baseline of every claim",
    ),
    "q_learning": (
        "purejaxexplore.learners.q_learning",
        "tabular Q-learning with a count bonus and backward replay, the flat baseline",
    ),
    "recon": (
        "purejaxexplore.go_explore.recon",
        "RECON: sampled latent goals at the frontier of a graph of observations, in unseen mazes",
    ),
    "rep_es": (
        "purejaxexplore.learners.rep_rl",
        "RepES: an evolution strategy that also follows a linear bandit over a learnt embedding of policies",
    ),
    "self_play": ("purejaxexplore.bandits.self_play", "two bandit learners in a zero-sum matrix game"),
    "sequoia": (
        "purejaxexplore.bandits.sequoia",
        "SEQUOIA: Q-learning for restless arms, with an exact or a searched maximum over combinatorial actions",
    ),
    "sparse_elimination": (
        "purejaxexplore.bandits.sparse_elimination",
        "a nearly best action where features are slightly wrong and the parameter is sparse",
    ),
    "snapshot_rl": (
        "purejaxexplore.go_explore.snapshots",
        "PPO whose episodes start at a teacher's states at first",
    ),
    "switching": (
        "purejaxexplore.learners.switching",
        "any learner in a world that changes in the middle of its run, untold",
    ),
    "topo_nav": (
        "purejaxexplore.go_explore.topological",
        "TopoNav: a growing map of landmarks, walked by two levels of Q-learning",
    ),
    "wge": (
        "purejaxexplore.learners.wge",
        "demonstrations become constraints to explore within, and a policy learns from what succeeds there",
    ),
}
"""Name -> (module of the factory, one line)."""

BONUSES: dict[str, tuple[str, str]] = {
    "apt": ("purejaxexplore.bonuses.apt", "particle entropy in the features of an inverse model"),
    "byol_explore": (
        "purejaxexplore.bonuses.byol_explore",
        "the error of predicting latents of the future, of a slow encoder, over several steps",
    ),
    "categorical_surprise": (
        "purejaxexplore.bonuses.categorical_surprise",
        "surprise under a categorical model of every cell of the episode's observations",
    ),
    "counts": (
        "purejaxexplore.bonuses.counts",
        "1/sqrt(n) for the n-th visit of a state, per episode or lifelong",
    ),
    "coverage_gain": ("purejaxexplore.bonuses.submodular", "what a step newly covers in its episode"),
    "diayn": ("purejaxexplore.bonuses.diayn", "skills that a discriminator can tell apart by where they lead"),
    "disagreement": (
        "purejaxexplore.bonuses.disagreement",
        "the variance of an ensemble of forward models, blind to learned noise",
    ),
    "drnd": ("purejaxexplore.bonuses.drnd", "distillation of many random networks, one drawn for each sample"),
    "e3b": ("purejaxexplore.bonuses.e3b", "elliptical episodic bonus: a count for any embedding"),
    "ellm": (
        "purejaxexplore.bonuses.ellm",
        "goals that a language model proposes for the present state, each paid once an episode",
    ),
    "girm": ("purejaxexplore.bonuses.girm", "the error of generating the next state from an inferred action"),
    "icm": ("purejaxexplore.bonuses.icm", "the error of a forward model in inverse-dynamics features"),
    "information_gain": (
        "purejaxexplore.bonuses.submodular",
        "what a measurement adds to the knowledge of a Gaussian process",
    ),
    "ngu": ("purejaxexplore.bonuses.ngu", "episodic nearest neighbours times lifelong distillation error"),
    "novel_d": ("purejaxexplore.bonuses.novel_d", "crossing from the familiar to the novel, once an episode"),
    "pseudo_counts": ("purejaxexplore.bonuses.pseudo_counts", "episodic counts by a kernel over nearest neighbours"),
    "rdd": ("purejaxexplore.bonuses.rdd", "distillation of a noisy random network, a pseudo-count"),
    "re3": (
        "purejaxexplore.bonuses.re3",
        "state entropy by the distance to the k-th nearest state under a random encoder",
    ),
    "revd": (
        "purejaxexplore.bonuses.revd",
        "divergence between the states of this rollout and of the one before",
    ),
    "reward_model": ("purejaxexplore.bonuses.reward_model", "the error of predicting the reward, high after a change"),
    "ride": ("purejaxexplore.bonuses.ride", "how far features moved, discounted by visits of the episode"),
    "rise": ("purejaxexplore.bonuses.rise", "Rényi entropy of states by distances to neighbours"),
    "rnd": (
        "purejaxexplore.bonuses.rnd",
        "random network distillation: the error of predicting a random network",
    ),
    "simhash": (
        "purejaxexplore.bonuses.simhash",
        "1/sqrt(n) for the n-th visit of a hash code of the observation",
    ),
    "sofe": (
        "purejaxexplore.bonuses.sofe",
        "stationary objectives: the statistics of a bonus become observations",
    ),
    "state_entropy": ("purejaxexplore.bonuses.state_entropy", "surprise under a Gaussian of the episode so far"),
}
"""Name -> (module, one line)."""
