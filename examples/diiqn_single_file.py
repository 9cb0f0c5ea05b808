"""DIIQN in a single file, to be read from top to bottom. It needs torch, numpy and gymnasium; the maze is sb3_diiqn's.

An agent has a recording of what an expert saw, without actions and rewards. It learns from that beside its own experience.
- dqn: the recording is not used.
- paper: the published method, Chrysomallis & Chalkiadakis, arXiv 2511.03616. Equations (1) to (5).
- default: what sb3_diiqn does where states vary. Equations (6) to (13).

    python examples/diiqn_single_file.py                              # CartPole, about a minute
    python examples/diiqn_single_file.py --method paper --task maze
    python examples/diiqn_single_file.py --recording mine.npz         # "observations", and "offsets" of trajectories

Left out: images, dictionaries, parallel environments, rewards of many different amounts, saving, HADIIQN, and the guide that
follows matching transitions. Where states repeat, as in the maze, that one alone leads, and learns much faster.
"""

import argparse
from collections import deque, namedtuple
from collections.abc import Callable
from copy import deepcopy
from math import erf, sqrt
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from torch import nn
from torch.nn import functional as F

DATASETS = Path(__file__).resolve().parents[1] / "sb3_diiqn" / "datasets"
th.set_num_threads(1)  # the networks are small
LEARNING_RATE, BATCH, LEARNING_STARTS, FINAL_EPSILON = 1e-3, 64, 200, 0.05  # of DQN; the rest is the task's
# of the published method, which leaves K, BETA and the largest error open; beside a network only equality is believed
TAU, K, BETA, C_MAX, MAX_ERROR = 0.97, 5, 1.0, 150_000, {"paper": 0.03, "default": 1e-4}
# of the guide: its episodes at first, its part of the exploration, in stretches of this mean length; comparison of returns
GUIDE_FRACTION, EXPLORATION_FRACTION, STRETCH, ALONE, WINDOW, FEWEST, PATIENCE, LEAST = 0.8, 0.8, 20, 0.5, 15, 5, 50, 0.05
EXPERT_BATCH, NETWORK_BATCH, CLONE_BATCH, MAX_AMOUNTS, REWARD_WARM_UP, KEPT = 16, 64, 256, 32, 250, 0.2
# epsilon falls in a fraction of the training; then updates of Q-network and target network, every so many steps
Task = namedtuple("Task", "env_id env_kwargs recording steps gamma exploration train_every target_every")
MAZE = {"layout": "paper", "actions": "NESW", "max_episode_steps": 100}
TASKS = {
    "cartpole": Task("CartPole-v1", {}, DATASETS / "cartpole.npz", 20_000, 0.99, 0.2, 4, 500),
    "maze": Task("sb3_diiqn.envs:sb3_diiqn/Maze2D-v0", MAZE, DATASETS / "maze.npz", 12_000, 0.98, 0.5, 1, 100),
}


class Expert:
    """Transitions (s_i, s'_i) cut from trajectories, and what the agent has inferred of each."""

    def __init__(self, path: Path, rng: np.random.Generator) -> None:
        with np.load(path) as data:
            observations = data["observations"].reshape(len(data["observations"]), -1).astype(np.float32)
            offsets = data.get("offsets", np.array([0, len(observations)]))
            terminated = data.get("terminated", False)
        last, ended = np.zeros((2, len(observations)), dtype=bool)
        last[offsets[1:] - 1], ended[offsets[1:] - 1] = True, terminated
        first = np.flatnonzero(~last)
        self.s, self.next_s, self.ended, self.rng = observations[first], observations[first + 1], ended[first + 1], rng
        self.known_end = th.as_tensor(ended.any() | ~last[first + 1])  # without any, each last one may be at a goal
        self.a, self.error = np.full(len(first), -1), np.full(len(first), np.inf)
        self.r, self.terminal, self.count = np.zeros((3, len(first)), dtype=np.float32)
        self.unit = np.where((extent := np.ptp(observations, axis=0)) > 0, extent, 1.0)
        pairs = self.distance(*self.s[rng.integers(len(first), size=(2, 2000))])  # few different ones are to match
        self.unit *= min(1.0, np.quantile(pairs[pairs > 0], 0.03) / (1 - TAU))

    def distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(1) d: root mean square of the differences, each relative to its range in the recording."""
        return np.sqrt(np.square((x - y) / self.unit).mean(axis=-1)).clip(max=1.0)

    def observe(self, s: np.ndarray, a: int, r: float, next_s: np.ndarray, terminal: bool) -> int:
        """Infer from a transition of the agent's, and return an expert transition that matches its s, or -1."""
        d = self.distance(self.s, s)
        # (2) action inference: D_i = (d(s, s_i) + d(s', s'_i)) / 2; where it is the lowest so far, a_i is the agent's action
        D = (d + self.distance(self.next_s, next_s)) / 2
        closer = self.error > D
        self.error[closer], self.a[closer], self.r[closer], self.terminal[closer] = D[closer], a, r, terminal
        # (3) expert sampling: one of the K nearest expert states, if its similarity 1 - d is at least tau
        accepted = np.flatnonzero(d <= 1 - TAU)
        nearest = accepted[d[accepted] <= np.unique(d[accepted])[:K].max(initial=0.0)]
        return int(self.rng.choice(nearest)) if len(nearest) else -1


def confidence(expert_value: Any, agent_value: Any, count: Any, error: Any, max_error: float) -> np.ndarray:
    """(4) Phi = min(dQ * delta, zeta), from the values Q(s_e, a_e) and Q(s_e, a_a)."""
    dQ = 1 / (1 + np.exp(-BETA * (expert_value - agent_value)))
    delta = np.log1p(np.minimum(count, C_MAX)) / np.log1p(C_MAX)
    zeta = np.clip(1 - error / max_error, 0.0, 1.0)
    return np.minimum(dQ * delta, zeta)


def minimize(loss: th.Tensor, optimizer: th.optim.Optimizer, largest_gradient: float = np.inf) -> None:
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], largest_gradient)
    optimizer.step()


class Network(nn.Module):
    """One hidden layer on normalised inputs, and Adam. There are four beside the Q-network."""

    def __init__(self, n_inputs: int, n_outputs: int, has_units: bool) -> None:
        super().__init__()
        normalization = [nn.BatchNorm1d(n_inputs, affine=False), nn.Hardtanh(-5, 5)] if has_units else []
        self.layers = nn.Sequential(*normalization, nn.Linear(n_inputs, 128), nn.LeakyReLU(), nn.Linear(128, n_outputs))
        self.optimizer = th.optim.Adam(self.parameters(), lr=2e-3)

    def forward(self, s: Any, next_s: Any = None) -> th.Tensor:
        return self.layers(th.as_tensor(s if next_s is None else np.concatenate([s, next_s - s], axis=1)))

    @th.no_grad()
    def ask(self, *states: np.ndarray) -> th.Tensor:
        outputs = self.eval()(*states)
        self.train()
        return outputs


class InverseDynamics(Network):
    """(6) p(s' | s, a), up to a factor: by Bayes' rule what s' adds to the habits p(a | s), which a second network learns."""

    def __init__(self, n: int, n_actions: int, has_units: bool) -> None:
        super().__init__(2 * n, n_actions, has_units)
        self.habits = Network(n, n_actions, has_units)
        self.optimizer.add_param_group({"params": list(self.habits.parameters())})

    def learn(self, s: np.ndarray, a: th.Tensor, next_s: np.ndarray) -> None:
        habits = self.habits(s)
        share = habits.detach().softmax(dim=1).clamp_min(0.02 / habits.shape[1])
        minimize(F.cross_entropy(habits, a) + F.cross_entropy(self(s, next_s) + share.log(), a), self.optimizer)


class RewardModel(Network):
    """(7) What is paid from s to s', as a class among the amounts seen so far? And does the episode end there?"""

    def __init__(self, n: int, has_units: bool) -> None:
        super().__init__(2 * n, MAX_AMOUNTS + 1, has_units)
        self.amounts, self.n_learned = [], 0

    def learn(self, s: np.ndarray, r: np.ndarray, next_s: np.ndarray, terminal: np.ndarray) -> None:
        self.amounts += [amount for amount in np.unique(r).tolist() if amount not in self.amounts]
        if len(self.amounts) > MAX_AMOUNTS:
            raise SystemExit("so many different rewards are for the package only")
        self.n_learned += 1
        outputs, classes = self(s, next_s), th.as_tensor([self.amounts.index(amount) for amount in r.tolist()])
        paid = F.cross_entropy(outputs[:, : len(self.amounts)], classes)
        minimize(paid + F.binary_cross_entropy_with_logits(outputs[:, -1], th.as_tensor(terminal)), self.optimizer)

    def predict(self, s: np.ndarray, next_s: np.ndarray, ended: np.ndarray) -> tuple[th.Tensor, th.Tensor]:
        """Rewards, and their certainty: the probability beyond chance, times that of the end as it is recorded."""
        if self.n_learned < REWARD_WARM_UP:
            return th.zeros(len(s)), th.zeros(len(s))
        outputs, n = self.ask(s, next_s), len(self.amounts)
        probability, classes = outputs[:, :n].softmax(dim=1).max(dim=1)
        beyond_chance = ((probability - 1 / n) / (1 - 1 / n)).clamp(0, 1) if n > 1 else probability
        end = outputs[:, -1].sigmoid()
        return th.tensor(self.amounts)[classes], beyond_chance * th.where(th.as_tensor(ended), end, 1 - end)


def estimate(probabilities: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
    """(8) Plausible is what is at least half as likely as the likeliest. Certainty: what these exceed chance by, in [0, 1]."""
    plausible = probabilities >= 0.5 * probabilities.max(dim=1, keepdim=True).values
    chance = plausible.float().mean(dim=1)
    certainty = ((probabilities * plausible).sum(dim=1) - chance) / (1 - chance).clamp_min(1e-9)
    return plausible, th.where(chance < 1, certainty, 0.0).clamp(0, 1)


class Guide:
    """Who plays: the clone of the expert some episodes, the agent alone others; in the rest, the clone leads stretches."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.returns, self.n_led, self.differed = rng, deque(maxlen=500), 0, False
        self.is_better, self.is_known, self.plays, self.alone, self.leads = 1.0, False, False, False, False

    def note(self, episode_return: float) -> None:
        """(9) P: the probability that guide episodes return more than the agent's alone, from the latest of each."""
        self.returns.append((self.plays, episode_return))
        self.n_led, self.differed = self.n_led + self.plays, self.differed or episode_return != self.returns[0][1]
        led, own = (np.array([value for by, value in self.returns if by == kind][-WINDOW:]) for kind in (True, False))
        self.is_known = self.differed and min(len(led), len(own)) >= FEWEST
        if self.is_known:
            error = sqrt(led.var(ddof=1) / len(led) + own.var(ddof=1) / len(own))
            self.is_better = 0.5 * (1 + erf((led.mean() - own.mean()) / max(error, 1e-12) / sqrt(2)))
        else:  # the benefit of the doubt, less and less as long as all episodes return the same
            self.is_better = 1.0 if self.differed else 0.5 + 0.5 * PATIENCE / (PATIENCE + self.n_led)

    def draw(self, epsilon: float, remaining: float, begins: bool) -> float:
        """Draw whether the guide leads in this step, and return the remaining rate of random actions."""
        if begins:
            self.plays = self.rng.random() < GUIDE_FRACTION * remaining * max(2 * self.is_better - 1, LEAST)
            self.alone = not self.plays and (sum(not led for led, _ in self.returns) < FEWEST or self.rng.random() < ALONE)
        rate, lot = EXPLORATION_FRACTION * epsilon, self.rng.random()
        start = rate / (rate + STRETCH * (1 - rate))  # so that stretches are this fraction of all steps in the long run
        goes_on = lot < rate if begins else lot >= (1 - start) / STRETCH if self.leads else lot < start
        self.leads = self.plays or (goes_on and not self.alone)
        return (epsilon - rate) / (1 - rate)

    def imitation_weight(self, remaining: float) -> float:
        """(10) It falls to KEPT over half of the training, sooner where the guide is worse, not while it is clearly better."""
        lasting = max(2 * self.is_better - 1, 0.0) ** 4 if self.is_known else 0.0
        return max(min(1.0, 2 * self.is_better) ** 4 * max(KEPT * self.is_known, 2 * remaining - 1), lasting)


def margin_losses(q: th.Tensor, plausible: th.Tensor, margin: float) -> th.Tensor:
    """(11) max(0, max over others (Q + margin) - max over plausible Q): large-margin imitation, after DQfD."""
    best, others = (q.masked_fill(mask, -1e30).max(dim=1).values for mask in (~plausible, plausible))
    return F.relu(others + margin - best)


class Agent:
    def __init__(self, method: str, task: Task, env: gym.Env, seed: int) -> None:
        self.method, self.gamma, self.rng = method, task.gamma, np.random.default_rng(seed)
        n, self.n_actions = int(np.prod(env.observation_space.shape)), int(env.action_space.n)
        self.q = nn.Sequential(nn.Linear(n, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, self.n_actions))
        self.target, self.mean = deepcopy(self.q), deepcopy(self.q)
        self.optimizer = th.optim.Adam(self.q.parameters(), lr=LEARNING_RATE)
        (s, next_s), (r, terminal) = np.zeros((2, task.steps, n), np.float32), np.zeros((2, task.steps), np.float32)
        self.replay, self.match = (s, np.zeros(task.steps, np.int64), r, next_s, terminal), np.full(task.steps, -1)
        self.size, self.n_updates, self.statistics, self.largest_value, self.moments = 0, 0, {}, np.inf, None
        has_units = np.issubdtype(env.observation_space.dtype, np.floating)
        self.expert, self.guide = Expert(task.recording, self.rng), Guide(self.rng)
        self.dynamics, self.reward_model = InverseDynamics(n, self.n_actions, has_units), RewardModel(n, has_units)
        self.clone = Network(n, self.n_actions, has_units)

    def act(self, s: np.ndarray, epsilon: float, remaining: float, begins: bool) -> int:
        if self.method == "default":
            epsilon = self.guide.draw(epsilon, remaining, begins)
            if self.guide.leads:  # which is nearly by chance as long as the clone has learned nothing
                probabilities = self.clone.ask(s[None]).softmax(dim=1)
                return int((probabilities * estimate(probabilities)[0]).multinomial(1))
        return int(self.rng.integers(self.n_actions) if self.rng.random() < epsilon else self.q(th.as_tensor(s)).argmax())

    def store(self, *transition: Any) -> None:
        for column, value in zip(self.replay, transition, strict=True):
            column[self.size] = value
        if self.method != "dqn":
            self.match[self.size] = self.expert.observe(*transition)
        self.size += 1

    def td(self, s: Any, a: Any, r: Any, next_s: Any, terminal: Any) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
        """Q(s, .), the temporal-difference loss of each transition, and its absolute error."""
        with th.no_grad():
            following = self.target(th.as_tensor(next_s)).max(dim=1).values.clamp(max=self.largest_value)
            target = th.as_tensor(r) + self.gamma * (1 - th.as_tensor(terminal).float()) * following
        q = self.q(th.as_tensor(s))
        value = q.gather(1, th.as_tensor(a)[:, None])[:, 0]
        return q, F.smooth_l1_loss(value, target, reduction="none"), (value.detach() - target).abs()

    def update(self, remaining: float) -> None:
        i = self.rng.integers(self.size, size=BATCH)
        _, losses, errors = self.td(*(column[i] for column in self.replay))
        loss = losses.mean()
        if self.method != "dqn":
            loss = loss + self.published_term(i, losses)
        if self.method == "default":
            loss = loss + self.default_terms(self.replay[2][i], errors, remaining)
        minimize(loss, self.optimizer, largest_gradient=10)
        self.n_updates += 1
        # (13) the greedy policy is that of the mean over about the latest twentieth of the updates
        for mean, latest in zip(self.mean.parameters(), self.q.parameters(), strict=True):
            mean.data.lerp_(latest.data, min(1.0, 20 / self.n_updates) if self.method == "default" else 1.0)
        if self.method == "default" and self.n_updates % int(np.clip(self.n_updates // 250, 4, 256)) == 0:  # ever more rarely
            self.train_networks()

    def published_term(self, i: np.ndarray, losses: th.Tensor) -> th.Tensor:
        """(5) The mean of Phi L_e + (1 - Phi) L_a is that of L_a, and of this: Phi (L_e - L_a)."""
        expert, max_error = self.expert, MAX_ERROR[self.method]
        rows = np.flatnonzero((self.match[i] >= 0) & (expert.error[self.match[i]] < max_error))
        e, a = self.match[i[rows]], self.replay[1][i[rows]]
        q, expert_losses, _ = self.td(expert.s[e], expert.a[e], expert.r[e], expert.next_s[e], expert.terminal[e])
        values, row = q.detach().numpy(), np.arange(len(e))
        phi = confidence(values[row, expert.a[e]], values[row, a], expert.count[e], expert.error[e], max_error)
        np.add.at(expert.count, e, 1)
        self.statistics["confidence"] = phi.sum() / len(i)
        return (th.as_tensor(phi, dtype=th.float32) * (expert_losses - losses[rows])).sum() / len(i)

    def default_terms(self, r: np.ndarray, errors: th.Tensor, remaining: float) -> th.Tensor:
        """(12) Imitation of some expert transitions, and their temporal-difference losses, by how certain they are."""
        e = self.rng.integers(len(self.expert.s), size=EXPERT_BATCH)
        s, next_s, ended = self.expert.s[e], self.expert.next_s[e], self.expert.ended[e]
        probabilities = self.dynamics.ask(s, next_s).softmax(dim=1)
        plausible, certainty = estimate(probabilities)
        actions = (probabilities * plausible).multinomial(1)[:, 0]
        paid, paid_certainty = self.reward_model.predict(s, next_s, ended)
        q, losses, _ = self.td(s, actions, paid, next_s, ended)
        # the margin: twice the mean error of late, or the standard deviation of the rewards, if that is larger
        new = np.array([float(errors.mean()), r.mean(), np.square(r).mean()])
        self.moments = new if self.moments is None else self.moments + 0.01 * (new - self.moments)
        margin = max(2 * self.moments[0], sqrt(max(self.moments[2] - self.moments[1] ** 2, 0.0)))
        weight = min(margin, 1.0) * self.guide.imitation_weight(remaining)
        self.statistics.update(guide_is_better=self.guide.is_better, imitation=weight, certainty=float(certainty.mean()))
        values = (certainty * paid_certainty * self.expert.known_end[e] * losses).sum() / len(r)
        return values + weight * (certainty * margin_losses(q, plausible, margin)).mean()

    def train_networks(self) -> None:
        i = self.rng.integers(self.size, size=NETWORK_BATCH)
        s, a, r, next_s, terminal = (column[i] for column in self.replay)
        self.dynamics.learn(s, th.as_tensor(a), next_s)
        self.reward_model.learn(s, r, next_s, terminal)
        # no value is larger than that of the largest reward for ever, or than 0 where all are negative
        self.largest_value = max(float(self.replay[2][: self.size].max()) or np.inf, 0.0) / (1 - self.gamma)
        e = self.rng.integers(len(self.expert.s), size=CLONE_BATCH)
        probabilities = self.dynamics.ask(self.expert.s[e], self.expert.next_s[e]).softmax(dim=1)
        minimize(F.cross_entropy(self.clone(self.expert.s[e]), probabilities), self.clone.optimizer)


def greedy_return(values: Callable[[th.Tensor], th.Tensor], task: Task, episodes: int, total: float = 0.0) -> float:
    env = gym.make(task.env_id, **task.env_kwargs)
    for episode in range(episodes):
        s, done = env.reset(seed=10_000 + episode)[0], False
        while not done:
            s, r, terminated, truncated, _ = env.step(int(values(th.as_tensor(np.asarray(s, np.float32).ravel())).argmax()))
            total, done = total + float(r), terminated or truncated
    return total / episodes


def train(task: Task, method: str, seed: int = 0, every: int = 2000, episodes: int = 10, **other: Any) -> list[float]:
    task, _ = task._replace(**other), th.manual_seed(seed)
    env = gym.make(task.env_id, **task.env_kwargs)
    agent, greedy_returns, s, done, episode_return = Agent(method, task, env, seed), [], None, True, 0.0
    for step in range(task.steps):
        progress, learns, begins = step / task.steps, step >= LEARNING_STARTS, done
        epsilon = max(FINAL_EPSILON, 1 - (1 - FINAL_EPSILON) * progress / task.exploration) if learns else 1.0
        if begins:
            observation, episode_return = env.reset(seed=seed if step == 0 else None)[0], 0.0
            s = np.asarray(observation, np.float32).ravel()
        a = agent.act(s, epsilon, 1 - progress, begins)
        observation, r, terminated, truncated, _ = env.step(a)
        done, episode_return = terminated or truncated, episode_return + float(r)
        agent.store(s, a, float(r), s := np.asarray(observation, np.float32).ravel(), terminated)
        if done and learns and (agent.guide.plays or agent.guide.alone):
            agent.guide.note(episode_return)
        if learns and step % task.train_every == 0:
            agent.update(1 - progress)
        if step % task.target_every == 0:
            agent.target.load_state_dict(agent.q.state_dict())
        if (step + 1) % every == 0:
            greedy_returns.append(greedy_return(agent.mean, task, episodes))
            numbers = "".join(f", {name} {value:.3f}" for name, value in agent.statistics.items())
            print(f"{method}, step {step + 1}: greedy return {greedy_returns[-1]:.2f}{numbers}", flush=True)
    return greedy_returns


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=list(TASKS), default="cartpole")
    parser.add_argument("--method", choices=["dqn", "paper", "default"], default="default")
    parser.add_argument("--recording", type=Path, help="an npz file of observations, in place of the package's")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    train(TASKS[given.pop("task")], **given)
