"""What people ask for, and the words a classical poem uses for it.

One row per subject: the words a reader types, then the words that show that a text is about it.
The second list is matched as plain substrings in the (simplified) text and, with more weight, in the title.
"""

_ZH = """
月亮 月 明月 月色 月夜 月光|月 蟾 桂魄 婵娟
中秋 中秋节|中秋 八月十五 秋月 桂 蟾 月圆
春天 春 春日 春光 春色|春
夏天 夏 夏日 盛夏|夏 暑 炎 荷 莲 蝉 薰风
秋天 秋 秋日 秋色 秋思|秋
冬天 冬 冬日 寒冬|冬 雪 寒梅 岁寒 腊
早春 初春|早春 初春 新柳 春初 东风
晚秋 深秋 暮秋|晚秋 暮秋 秋深 霜叶 黄叶 落叶
大海 海 海洋 海边|海 沧 溟 蓬莱
长江 江 江水 江边|江
黄河 河 河流|河 黄河
湖 湖水 洞庭湖 西湖|湖 洞庭
山水 风景 自然 山川|青山 溪 山水 江山 白云 水流
山 高山 青山 群山|山 峰 岭 岳
山中 山居 深山|山中 山居 深山 山人 空山 幽居
泉水 溪水 小溪 泉|泉 溪 涧
瀑布|瀑 飞泉 悬泉
思乡 家乡 故乡 乡愁 想家|故乡 故园 乡 归心 还家 家山
送别 离别 告别 分别|送 别 离亭 阳关 分手 离
友情 朋友 友谊 老朋友|故人 友 知己 知音 相逢 同心
爱情 爱 爱人 相思 思念|相思 君心 鸳鸯 比翼 红豆 情人 同心 郎
爱情 恋爱 情|相思 郎 妾 鸳鸯 情
思念 想念 怀人|忆 思君 相思 怀 梦君
梅花 梅 寒梅|梅
桃花 桃|桃
荷花 莲花 莲 荷|荷 莲 芙蓉 菡萏
菊花 菊|菊
牡丹 牡丹花|牡丹 国色
兰花 兰|兰
杏花|杏
海棠|海棠
梨花|梨花
花 花朵 鲜花 花园|花 芳
落花|落花 花落 残花 飞花
竹子 竹 竹林|竹
松树 松 青松|松
柳树 柳 杨柳|柳 杨
草 小草 青草|草
树 树木 森林 树林|树 林
落叶 红叶|落叶 红叶 黄叶 木落
酒 喝酒 饮酒 美酒 醉|酒 醉 樽 杯 酌
茶 喝茶 品茶|茶 茗
边塞 边疆 边关 塞外|塞 边 胡 关山 戍 玉门 单于
战争 打仗 将军 战场|战 将军 军 兵 戎 旌 阵
沙漠 大漠|沙 碛 大漠
马 骏马 骑马|马 骢 骥
剑 宝剑|剑
雪 下雪 雪花 大雪|雪
雨 下雨 细雨 雨天|雨
春雨|春雨 细雨
夜雨|夜雨 雨夜
风 春风 秋风 大风|风
云 白云 云彩|云
雾 烟 烟雨|烟 雾
霜 露 露水|霜 露
雷 闪电 暴雨|雷 电 骤雨
星星 星空 星|星 斗 银河
银河 七夕 牛郎织女|七夕 牛女 织女 银河 鹊 河汉
太阳 日出 早晨 清晨 朝阳|晓 朝日 旭 日出 晨
夕阳 黄昏 日落 傍晚 落日|夕阳 落日 黄昏 斜阳 日暮 斜日 夕
夜晚 夜 深夜 黑夜|夜 宵 更
失眠 孤独 寂寞 孤单|独 孤 寂 无人 悄
梦 做梦 梦境|梦
愁 忧愁 悲伤 伤心|愁 悲 泪 断肠 恨
快乐 高兴 欢乐 喜悦|欢 乐 喜 笑
时间 时光 岁月 光阴|光阴 岁月 流年 年华 百年 岁
人生 生命 命运|人生 浮生 百年 身世 浮世
老年 年老 白发 衰老|白发 老 衰 鬓
青春 少年 年轻|少年 青春 年少
历史 怀古 古迹|古 故国 六朝 吴王 遗 废 兴亡
长安 京城 都城|长安 帝京 京 秦 凤城
洛阳|洛阳 洛
江南 水乡|江南 吴 越 江村
扬州|扬州 广陵 隋
金陵 南京|金陵 六朝 石头 建业
田园 乡村 农村 种田 农家|田 村 农 桑 耕 篱
渔夫 钓鱼 渔翁 捕鱼|渔 钓 鱼
砍柴 樵夫|樵 薪
隐居 隐士 归隐|隐 幽 幽人 山居 柴门
寺庙 佛 禅 和尚|寺 僧 禅 上人 钟 空门
道士 神仙 仙人 修仙|仙 道士 丹 真人 羽 洞天
钟声 钟|钟
琴 音乐 弹琴 古琴|琴 弦 曲
笛子 笛声 箫|笛 箫
歌舞 舞蹈 跳舞|舞 歌
读书 学习 书|书 读 诗书 学
写诗 诗|诗 吟 句
下棋 棋|棋
画 画画 山水画|画 丹青
旅行 旅途 行路 出门|旅 客 行路 征途 客舍 驿
船 小船 行船 划船|舟 船 帆 棹
桥|桥
楼 登楼 登高 高楼|登 楼 台
重阳 重阳节|重阳 九日 登高 茱萸 菊
清明 清明节 寒食|清明 寒食
元宵 元宵节 灯|灯 上元 元宵 元夕
除夕 新年 过年 春节|除夜 除夕 岁 新年 元日 守岁
鸟 小鸟|鸟 禽 莺
燕子 燕|燕
黄莺 莺|莺
大雁 雁|雁 鸿
鹤 白鹤|鹤
鹰|鹰 隼 雕
杜鹃 子规|杜鹃 子规 杜宇
鹭 白鹭 鸥 海鸥|鹭 鸥
猿 猴子|猿
蝉 知了|蝉
蝴蝶 蝶|蝶
萤火虫 萤|萤
蟋蟀 虫|蟋蟀 虫 蛩
鱼|鱼 鳞
龙|龙
虎 老虎|虎
猫|猫
狗 犬|犬
牛|牛
睡鼠 老鼠 鼠|鼠 眠
睡觉 睡眠 午睡|眠 睡 枕 卧
母亲 妈妈 父亲 父母|母 慈 父 亲
孩子 儿童 童年|儿 童
美人 美女 女子|美人 佳人 红颜 娥 玉颜
宫女 宫廷 皇宫|宫 御 昭阳
皇帝 国家 天下|圣 帝 天子 君王 国
贫穷 百姓 民生|贫 民 饥 租 寒衣
英雄 豪杰 侠客|侠 英雄 壮士 豪 剑
玉|玉
镜子 镜|镜
窗 窗外|窗
石头 石|石
水 流水|水 流
天空 蓝天 天|碧空 青天 长空 天际
彩虹|虹
北方 北风|北风 朔 燕
南方 岭南|南 岭 瘴 蛮
相逢 重逢 见面|逢 相见 重见 遇
等待 盼望|待 望 盼 期
希望 理想 志向|志 平生 愿 青云
科举 考试 落第|第 科 桂枝 登第 下第
病 生病|病 药
告老 退休 归去|归 田园 挂冠
"""

_EN = """
the sea|sea waves tide ocean shore sail
the ocean|sea ocean waves flood
love|love lover loved beloved
a rose|rose roses
roses|rose roses
flowers|flower flowers rose violet
the night|night midnight darkness
the moon|moon moonlight
the sun|sun sunshine
the stars|star stars
spring|spring april
summer|summer
winter|winter frost snow
snow|snow frost winter
death|death die dead grave
life|life live lives
war|war wars battle sword soldiers
battle|battle field sword arms
a king|king crown royal
a queen|queen
a crown|crown
honour|honour noble
friendship|friend friends friendship
a friend|friend friends
sorrow|sorrow grief weep tears woe
tears|tears weep
joy|joy joyful happy
happiness|happy joy content
time|time hours hour
sleep|sleep slumber bed
dreams|dream dreams
a dream|dream dreams dreamt
a dormouse|sleep slumber dream
home|home house
my heart|heart hearts
the heart|heart hearts
music|music sing song
the wind|wind winds
a storm|storm tempest thunder
rain|rain shower
fire|fire flame flames
a horse|horse
birds|bird birds lark nightingale
a bird|bird lark nightingale
the forest|forest wood trees
a garden|garden flowers weeds
gold|gold golden
beauty|beauty fair beauteous
truth|truth true
hope|hope hopes
fear|fear fears afraid
anger|rage anger angry fury
revenge|revenge
heaven|heaven heavens
the sky|heaven sky clouds
God|god heaven
mother|mother
father|father
my son|son sons
a daughter|daughter
brothers|brother brothers
youth|young youth
old age|old age years
beggars|beggar poor
wine|wine drink cup
England|england english
Rome|rome roman romans
Romeo and Juliet|romeo juliet
farewell|farewell adieu depart
parting|farewell part adieu
peace|peace
blood|blood bloody
a ship|ship sail
the morning|morning morn dawn
dawn|morning morn dawn
evening|evening night
the soul|soul souls
nature|nature
marriage|marriage wedding wife husband
fortune|fortune
madness|mad madness
wisdom|wise wisdom
money|money gold ducats
"""

# The English word of a subject, for readers who ask in English for a Chinese poem.
EN_OF = {"月亮": "the moon", "春天": "spring", "夏天": "summer", "秋天": "autumn", "冬天": "winter", "大海": "the sea",
         "山水": "mountains and rivers", "山": "mountains", "思乡": "home", "送别": "parting", "友情": "friendship",
         "爱情": "love", "梅花": "plum blossom", "桃花": "peach blossom", "荷花": "the lotus", "花": "flowers",
         "竹子": "bamboo", "酒": "wine", "边塞": "the frontier", "战争": "war", "雪": "snow", "雨": "rain", "风": "the wind",
         "云": "clouds", "星星": "the stars", "夕阳": "sunset", "夜晚": "night", "梦": "a dream", "愁": "sorrow",
         "鸟": "birds", "雁": "wild geese", "船": "a boat", "老年": "old age", "失眠": "loneliness"}


def _table(text):
    rows = []
    for line in text.strip().splitlines():
        names, keys = line.split("|")
        rows.append((names, keys.split()))
    return rows


ZH = [(names.split(), keys) for names, keys in _table(_ZH)]
EN = [(name, keys) for name, keys in _table(_EN)]
